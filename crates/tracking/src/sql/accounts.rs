//! Users, grants and tokens: the statements.

use anmok_protocol::messages::accounts::User;
use anmok_protocol::permission::EVERY;
use anmok_protocol::{ApiError, ErrorCode, Grant, Permission, ResourceType};

use super::connection::{Connection, DO_NOTHING, Row, Value};
use super::failure::Failure;
use crate::accounts::{Account, AccountKey, AccountToken, NewToken, NewUser};
use crate::store::now_ms;

const USER_COLUMNS: &str = "u.account, u.username, u.is_admin";

fn user_row(row: &dyn Row) -> Result<User, Failure> {
    Ok(User { id: row.integer(0)?, username: row.string(1)?, is_admin: row.truth(2)? })
}

pub(super) fn create_user(connection: &mut dyn Connection, new: &NewUser) -> Result<User, Failure> {
    let id = connection.first(
        "INSERT INTO anmok_accounts (username, password_hash, is_admin, creation_time, revision)
         VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT DO NOTHING RETURNING account",
        &[(&new.username).into(), (&new.password_hash).into(), new.is_admin.into(), now_ms().into()],
        |row| row.integer(0),
    )?;
    let taken = || {
        let message = format!("User (username={}) already exists.", new.username);
        ApiError::new(ErrorCode::ResourceAlreadyExists, message)
    };
    Ok(User { id: id.ok_or_else(taken)?, username: new.username.clone(), is_admin: new.is_admin })
}

pub(super) fn user(connection: &mut dyn Connection, username: &str) -> Result<Option<User>, Failure> {
    connection.first(&format!("SELECT {USER_COLUMNS} FROM anmok_accounts u WHERE u.username = ?1"), &[username.into()], user_row)
}

pub(super) fn users(connection: &mut dyn Connection) -> Result<Vec<User>, Failure> {
    connection.all(&format!("SELECT {USER_COLUMNS} FROM anmok_accounts u ORDER BY u.account"), &[], user_row)
}

/// The number of a user, whose account is about to change: it gets another revision, which also makes changes take turns.
fn changed(connection: &mut dyn Connection, username: &str) -> Result<i64, Failure> {
    let sql = "UPDATE anmok_accounts SET revision = revision + 1 WHERE username = ?1 RETURNING account";
    let number = connection.first(sql, &[username.into()], |row| row.integer(0))?;
    Ok(number.ok_or_else(|| ApiError::user_not_found(username))?)
}

pub(super) fn set_password(connection: &mut dyn Connection, username: &str, password_hash: &str) -> Result<(), Failure> {
    let number = changed(connection, username)?;
    let sql = "UPDATE anmok_accounts SET password_hash = ?2 WHERE account = ?1";
    connection.execute(sql, &[number.into(), password_hash.into()]).map(drop)
}

pub(super) fn set_admin(connection: &mut dyn Connection, username: &str, is_admin: bool) -> Result<(), Failure> {
    let number = changed(connection, username)?;
    let sql = "UPDATE anmok_accounts SET is_admin = ?2 WHERE account = ?1";
    connection.execute(sql, &[number.into(), is_admin.into()]).map(drop)
}

pub(super) fn delete_user(connection: &mut dyn Connection, username: &str) -> Result<(), Failure> {
    let number = changed(connection, username)?;
    for table in ["anmok_account_grants", "anmok_account_tokens", "anmok_accounts"] {
        connection.execute(&format!("DELETE FROM {table} WHERE account = ?1"), &[number.into()])?;
    }
    Ok(())
}

pub(super) fn account(connection: &mut dyn Connection, key: &AccountKey) -> Result<Option<Account>, Failure> {
    let (condition, value): (_, Value) = match key {
        AccountKey::Id(id) => ("u.account = ?1", (*id).into()),
        AccountKey::Username(username) => ("u.username = ?1", username.into()),
        AccountKey::TokenHash(hash) => ("u.account = (SELECT t.account FROM anmok_account_tokens t WHERE t.token_hash = ?1)", hash.into()),
    };
    let sql = format!("SELECT {USER_COLUMNS}, u.password_hash, u.revision FROM anmok_accounts u WHERE {condition}");
    let found = connection.first(&sql, &[value], |row| Ok((user_row(row)?, row.string(3)?, row.integer(4)?)))?;
    let Some((user, password_hash, revision)) = found else { return Ok(None) };
    let (grants, tokens) = (grants(connection, user.id)?, tokens(connection, user.id)?);
    Ok(Some(Account { user, password_hash, grants, tokens, revision }))
}

pub(super) fn revision(connection: &mut dyn Connection, user_id: i64) -> Result<Option<i64>, Failure> {
    connection.first("SELECT revision FROM anmok_accounts WHERE account = ?1", &[user_id.into()], |row| row.integer(0))
}

pub(super) fn grants(connection: &mut dyn Connection, account: i64) -> Result<Vec<Grant>, Failure> {
    connection.all(
        "SELECT resource_type, resource, permission FROM anmok_account_grants WHERE account = ?1 ORDER BY resource_type, resource",
        &[account.into()],
        |row| {
            let resource = row.string(1)?;
            let resource_type = ResourceType::parse(row.text(0)?, &resource)?;
            Ok(Grant { resource_type, resource, permission: Permission::parse(row.text(2)?)? })
        },
    )
}

/// Grants to a user by number, unless there is a grant on this already.
pub(super) fn grant_to(connection: &mut dyn Connection, account: i64, grant: &Grant) -> Result<bool, Failure> {
    let columns = [
        ("account", account.into()),
        ("resource_type", grant.resource_type.name().into()),
        ("resource", (&grant.resource).into()),
        ("permission", grant.permission.name().into()),
    ];
    Ok(connection.insert_rows("anmok_account_grants", &columns, DO_NOTHING)? > 0)
}

pub(super) fn grant(connection: &mut dyn Connection, username: &str, grant: &Grant) -> Result<bool, Failure> {
    let account = changed(connection, username)?;
    grant_to(connection, account, grant)
}

/// The grant of whoever makes something, in the same transaction. A user who was deleted meanwhile gets none.
pub(super) fn grant_to_creator(connection: &mut dyn Connection, creator: Option<i64>, grant: &Grant) -> Result<(), Failure> {
    let Some(account) = creator else { return Ok(()) };
    if grant.resource == EVERY {
        // The grant on it would be one on everything.
        return Err(ApiError::invalid(format!("'{EVERY}' cannot be a name where users have permissions: it stands for every name.")).into());
    }
    let sql = "UPDATE anmok_accounts SET revision = revision + 1 WHERE account = ?1";
    if connection.execute(sql, &[account.into()])? > 0 {
        grant_to(connection, account, grant)?;
    }
    Ok(())
}

pub(super) fn update_grant(connection: &mut dyn Connection, username: &str, grant: &Grant) -> Result<bool, Failure> {
    let account = changed(connection, username)?;
    let updated = connection.execute(
        "UPDATE anmok_account_grants SET permission = ?4 WHERE account = ?1 AND resource_type = ?2 AND resource = ?3",
        &[account.into(), grant.resource_type.name().into(), (&grant.resource).into(), grant.permission.name().into()],
    )?;
    Ok(updated > 0)
}

pub(super) fn revoke(
    connection: &mut dyn Connection,
    username: &str,
    resource_type: ResourceType,
    resource: &str,
) -> Result<bool, Failure> {
    let account = changed(connection, username)?;
    let revoked = connection.execute(
        "DELETE FROM anmok_account_grants WHERE account = ?1 AND resource_type = ?2 AND resource = ?3",
        &[account.into(), resource_type.name().into(), resource.into()],
    )?;
    Ok(revoked > 0)
}

/// Takes all grants on something along to its new name, or away with it: who has the name next must not have them. Grants
/// that were left on the new name go.
pub(super) fn move_grants(
    connection: &mut dyn Connection,
    resource_type: ResourceType,
    resource: &str,
    new_name: Option<&str>,
) -> Result<(), Failure> {
    // Grants on everything are not those on something that is called so.
    if new_name == Some(resource) || resource == EVERY {
        return Ok(());
    }
    let new_name = new_name.filter(|name| *name != EVERY);
    let names = [Some(resource), new_name].into_iter().flatten().map(str::to_owned).collect::<Vec<_>>();
    connection.execute(
        "UPDATE anmok_accounts SET revision = revision + 1 WHERE account IN
             (SELECT g.account FROM anmok_account_grants g WHERE g.resource_type = ?1 AND g.resource IN (SELECT value FROM json_each(?2)))",
        &[resource_type.name().into(), names.into()],
    )?;
    let delete = "DELETE FROM anmok_account_grants WHERE resource_type = ?1 AND resource = ?2";
    match new_name {
        None => connection.execute(delete, &[resource_type.name().into(), resource.into()])?,
        Some(new_name) => {
            connection.execute(delete, &[resource_type.name().into(), new_name.into()])?;
            let sql = "UPDATE anmok_account_grants SET resource = ?3 WHERE resource_type = ?1 AND resource = ?2";
            connection.execute(sql, &[resource_type.name().into(), resource.into(), new_name.into()])?
        }
    };
    Ok(())
}

pub(super) fn tokens(connection: &mut dyn Connection, account: i64) -> Result<Vec<AccountToken>, Failure> {
    connection.all(
        "SELECT name, token_hash, creation_time, expiration_time FROM anmok_account_tokens WHERE account = ?1 ORDER BY name",
        &[account.into()],
        |row| {
            Ok(AccountToken {
                name: row.string(0)?,
                token_hash: row.string(1)?,
                creation_time: row.integer(2)?,
                expiration_time: row.optional_integer(3)?,
            })
        },
    )
}

pub(super) fn create_token(connection: &mut dyn Connection, username: &str, new: &NewToken) -> Result<(), Failure> {
    let account = changed(connection, username)?;
    let inserted = connection.execute(
        "INSERT INTO anmok_account_tokens (account, name, token_hash, creation_time, expiration_time)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        &[account.into(), (&new.name).into(), (&new.token_hash).into(), now_ms().into(), new.expiration_time.into()],
    )?;
    if inserted == 0 {
        let message = format!("Token (name={}) of user {username} already exists.", new.name);
        return Err(ApiError::new(ErrorCode::ResourceAlreadyExists, message).into());
    }
    Ok(())
}

pub(super) fn revoke_token(connection: &mut dyn Connection, username: &str, name: &str) -> Result<bool, Failure> {
    let account = changed(connection, username)?;
    let sql = "DELETE FROM anmok_account_tokens WHERE account = ?1 AND name = ?2";
    Ok(connection.execute(sql, &[account.into(), name.into()])? > 0)
}

/// The experiment of what has this id in a table of runs or logged models.
pub(super) fn experiment_of(connection: &mut dyn Connection, table: &str, column: &str, id: &str) -> Result<Option<String>, Failure> {
    let sql = format!("SELECT experiment FROM {table} WHERE {column} = ?1");
    connection.first(&sql, &[id.into()], |row| Ok(row.integer(0)?.to_string()))
}
