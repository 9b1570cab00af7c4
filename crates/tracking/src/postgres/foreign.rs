//! Another program's database, in which nothing is made or prepared: only what is asked is done.

use super::address::Address;
use super::connection::{Client, Session};
use super::failure::At;
use super::{READ, WRITE};
use crate::error::TrackingError;
use crate::sql::{Connection, Failure};

/// Another program's database on a server.
pub(crate) struct Foreign {
    at: At,
    client: Client,
}

impl Foreign {
    pub fn open(uri: &str) -> Result<Self, TrackingError> {
        let address = Address::parse(uri)?;
        let at = At { name: address.name.clone() };
        let client = at.result("opening the database", Client::connect(&address))?;
        Ok(Self { at, client })
    }

    pub fn name(&self) -> String {
        self.at.name.clone()
    }

    /// Does work in one transaction, which leaves no trace if the work fails.
    pub fn transaction<T>(
        &mut self,
        doing: &str,
        writing: bool,
        work: impl FnOnce(&mut dyn Connection) -> Result<T, Failure>,
    ) -> Result<T, TrackingError> {
        let begin = if writing { WRITE } else { READ };
        let mut session = Session::new(&mut self.client, Some(begin), None);
        let done = match work(&mut session) {
            Ok(done) => session.commit().map(|()| done),
            Err(failure) => {
                // The first failure is the one to tell.
                session.roll_back().ok();
                Err(failure)
            }
        };
        self.at.result(doing, done)
    }
}
