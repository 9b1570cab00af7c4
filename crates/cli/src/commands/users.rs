//! `anmok users`: a server's users, in its database. A server that runs sees a change within a second.

use super::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, Settings, server};
use crate::terminal::table::{Align, Table};
use crate::terminal::{password_input, print, print_json};
use anmok_server::password;
use anmok_tracking::{NewUser, Store, StoreOptions};
use clap::{Args, Subcommand};
use serde_json::json;

/// A server's users: list, create, password, admin, delete.
#[derive(Debug, Args)]
pub struct Users {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Print the users
    List(List),
    /// Make a user; the password is asked for, or read from standard input
    #[command(after_help = "Examples:\n  anmok users create anna\n  pwgen 20 1 | tee anna.txt | anmok users create anna --admin")]
    Create(Create),
    /// Give a user another password, which is asked for or read from standard input
    Password(Named),
    /// Make a user an administrator, or with --revoke no longer one
    Admin(Admin),
    /// Delete a user with all permissions and tokens
    Delete(Named),
}

/// The settings of these commands: where the users are.
#[derive(Debug)]
pub(super) struct OfAccounts;

impl Sections for OfAccounts {
    const SECTIONS: &'static [&'static Section] = &[&server::OF_ACCOUNTS];
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

#[derive(Debug, Args)]
struct Create {
    /// The user's name
    username: String,
    /// Everything is allowed
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

#[derive(Debug, Args)]
struct Named {
    /// The user's name
    username: String,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

#[derive(Debug, Args)]
struct Admin {
    /// The user's name
    username: String,
    /// Not everything is allowed any more
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    flags: Flags<OfAccounts>,
}

impl Users {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        match self.command {
            UsersCommand::List(list) => {
                let users = open(surroundings, &list.flags)?.users()?;
                if list.json {
                    print_json(&json!(users));
                } else {
                    let mut table = Table::new(&[Align::Right, Align::Left, Align::Left]);
                    users.into_iter().for_each(|user| {
                        table.row([user.id.to_string(), user.username, if user.is_admin { "administrator".into() } else { String::new() }]);
                    });
                    print(&table.render(""));
                }
                Ok(())
            }
            UsersCommand::Create(Create { username, admin, flags }) => {
                let store = open(surroundings, &flags)?;
                let password_hash = password::hash(&password_input::read(&format!("Password of {username}"))?)?;
                let user = store.create_user(&NewUser { username, password_hash, is_admin: admin })?;
                print(&format!("made the user {:?} (id {})", user.username, user.id));
                Ok(())
            }
            UsersCommand::Password(Named { username, flags }) => {
                let store = open(surroundings, &flags)?;
                let hash = password::hash(&password_input::read(&format!("New password of {username}"))?)?;
                store.set_user_password(&username, &hash)?;
                print(&format!("changed the password of {username:?}; tokens stay good (`anmok tokens revoke`)"));
                Ok(())
            }
            UsersCommand::Admin(Admin { username, revoke, flags }) => {
                open(surroundings, &flags)?.set_user_admin(&username, !revoke)?;
                print(&format!("{username:?} is {} administrator", if revoke { "no" } else { "an" }));
                Ok(())
            }
            UsersCommand::Delete(Named { username, flags }) => {
                open(surroundings, &flags)?.delete_user(&username)?;
                print(&format!("deleted the user {username:?}"));
                Ok(())
            }
        }
    }
}

/// The database of the server.
pub(super) fn open(surroundings: &Surroundings, flags: &Flags<OfAccounts>) -> anyhow::Result<Box<dyn Store>> {
    let resolved = surroundings.resolve(OfAccounts::SECTIONS, Given { flags: &flags.given, ..Given::default() })?;
    let settings: &Settings = &resolved.settings;
    // Should the database be made here, its artifacts are those of a server.
    let options = StoreOptions { artifact_root: Some(super::server::PROXIED_ROOT.into()), ..StoreOptions::default() };
    Ok(anmok_tracking::open_store(&settings.server.backend_store_uri, &options)?)
}
