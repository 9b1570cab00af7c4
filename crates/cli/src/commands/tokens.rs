//! `anmok tokens`: what a server's users send instead of a password, in its database.

use super::Surroundings;
use super::users::{OfAccounts, open};
use crate::failure::Usage;
use crate::settings::flags::Flags;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json};
use anmok_protocol::ApiError;
use anmok_server::password;
use anmok_tracking::{NewToken, now_ms};
use clap::{Args, Subcommand};
use serde_json::json;

const DAY_MS: i64 = 86_400_000;

/// The tokens of a server's users: list, create, revoke.
#[derive(Debug, Args)]
pub struct Tokens {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Print a user's tokens, without their secrets
    List(List),
    /// Make a token and print its secret, this once
    #[command(after_help = "Examples:\n  export MLFLOW_TRACKING_TOKEN=$(anmok tokens create ci --user anna --days 90)")]
    Create(Create),
    /// Make a token worthless
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct List {
    /// Whose
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

#[derive(Debug, Args)]
struct Create {
    /// The token's name
    name: String,
    /// Whose requests it makes
    #[arg(long, value_name = "NAME")]
    user: String,
    /// It is good for this many days; without it until it is revoked
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    days: Option<u16>,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The token's name
    name: String,
    /// Whose
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

impl Tokens {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        match self.command {
            TokensCommand::List(list) => list.run(surroundings),
            TokensCommand::Create(Create { name, user, days, flags }) => {
                let store = open(surroundings, &flags)?;
                let (secret, token_hash) = password::new_token()?;
                let expiration_time = days.map(|days| now_ms() + i64::from(days) * DAY_MS);
                store.create_token(&user, &NewToken { name, token_hash, expiration_time })?;
                print(&secret);
                Ok(())
            }
            TokensCommand::Revoke(Revoke { name, user, flags }) => {
                if !open(surroundings, &flags)?.revoke_token(&user, &name)? {
                    return Err(Usage(format!("{user:?} has no token {name:?}: `anmok tokens list --user {user}` shows all")).into());
                }
                print(&format!("revoked the token {name:?} of {user:?}"));
                Ok(())
            }
        }
    }
}

impl List {
    fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let store = open(surroundings, &self.flags)?;
        if store.user(&self.user)?.is_none() {
            return Err(ApiError::user_not_found(&self.user).into());
        }
        let tokens = store.tokens(&self.user)?;
        if self.json {
            let shown = tokens
                .iter()
                .map(|token| json!({ "name": token.name, "creation_time": token.creation_time, "expiration_time": token.expiration_time }));
            print_json(&shown.collect());
            return Ok(());
        }
        let mut table = Table::new(&[Align::Left, Align::Left]);
        for token in tokens {
            table.row([token.name, state(token.expiration_time)]);
        }
        print(&table.render(""));
        Ok(())
    }
}

fn state(expiration_time: Option<i64>) -> String {
    match expiration_time.map(|time| time - now_ms()) {
        None => "does not expire".into(),
        Some(left) if left <= 0 => "expired".into(),
        Some(left) if left < DAY_MS => "expires within a day".into(),
        Some(left) => format!("expires in {} days", left / DAY_MS),
    }
}
