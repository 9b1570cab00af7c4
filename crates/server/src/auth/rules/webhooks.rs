//! `webhooks/*`: they tell of everything, and are for administrators, who are not asked.

use anmok_protocol::messages::webhooks::{CreateWebhook, ListWebhooks, TestWebhook, UpdateWebhook};

use super::rules;

rules! {
    CreateWebhook | ListWebhooks | TestWebhook | UpdateWebhook => |_, _, _| Ok(false);
}
