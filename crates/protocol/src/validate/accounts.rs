//! Users, passwords and tokens.

use crate::error::ApiError;

/// The longest name of a user or token, in bytes.
const NAME_BYTES: usize = 255;

/// The shortest password, in characters: MLflow's.
const PASSWORD_CHARACTERS: usize = 12;

/// The longest password, in bytes: nobody types more, and hashing takes time for each.
const PASSWORD_BYTES: usize = 1024;

/// Public knowledge: older versions of MLflow had it as the first administrator's.
const MLFLOWS_OLD_PASSWORD: &str = "password1234";

/// Checks a new user's name. It stands before a `:` in requests.
pub fn username(username: &str) -> Result<(), ApiError> {
    name(username, "Username")?;
    if username.contains(':') {
        return Err(ApiError::invalid("Username cannot contain ':': clients send it as 'username:password'."));
    }
    Ok(())
}

/// Checks a new password.
pub fn password(password: &str) -> Result<(), ApiError> {
    if password.chars().count() < PASSWORD_CHARACTERS {
        return Err(ApiError::invalid(format!("Password must be at least {PASSWORD_CHARACTERS} characters.")));
    }
    if password.len() > PASSWORD_BYTES {
        return Err(ApiError::invalid(format!("Password must be at most {PASSWORD_BYTES} bytes.")));
    }
    if password == MLFLOWS_OLD_PASSWORD {
        return Err(ApiError::invalid("This password is known to everybody: older versions of MLflow shipped with it. Choose another."));
    }
    Ok(())
}

/// Checks a new token's name.
pub fn token_name(token: &str) -> Result<(), ApiError> {
    name(token, "Token name")
}

fn name(name: &str, what: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid(format!("{what} cannot be empty.")));
    }
    if name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!("{what} must have at most {NAME_BYTES} bytes and no control characters.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert_eq!(username("안목"), Ok(()));
        assert_eq!(username("").unwrap_err().message, "Username cannot be empty.");
        assert!(username("a:b").is_err() && username("a\nb").is_err() && username(&"a".repeat(256)).is_err());
        assert_eq!(password("twelve chars"), Ok(()));
        assert_eq!(password("안목안목안목안목안목안목"), Ok(()));
        assert_eq!(password("eleven char").unwrap_err().message, "Password must be at least 12 characters.");
        assert!(password(MLFLOWS_OLD_PASSWORD).is_err() && password(&"a".repeat(1025)).is_err());
        assert!(token_name("").is_err() && token_name("ci").is_ok());
    }
}
