//! What each request asks of whoever sends it, as MLflow's validators have it.
//!
//! A request without a rule does not compile, and the rule reads the very message that the handler reads: the two cannot
//! mean different things.

mod accounts;
mod artifacts;
mod experiments;
mod logged_models;
mod registry;
mod runs;
pub(crate) mod targets;
mod webhooks;

/// Rules: `Request => |check, asked, path| whether;`
macro_rules! rules {
    ($($($request:ident)|+ => |$check:tt, $asked:tt, $path:tt| $rule:expr;)+) => {
        $($(impl $crate::auth::Guarded for $request {
            fn allowed(
                &mut self,
                $check: &$crate::auth::check::Check,
                $path: &$crate::endpoint::InPath,
            ) -> Result<bool, $crate::answer::Failure> {
                let $asked = self;
                $rule
            }
        })+)+
    };
}
use rules;
