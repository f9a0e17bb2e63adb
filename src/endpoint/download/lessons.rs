//! What an answer shows about the origin, whatever it means for the client: how the origin can be
//! asked, whether it is up, and where it redirects to.

use http::{Method, StatusCode};

use super::origin_query::{OriginQuery, PendingAnswer};
use crate::cache::entry::Validator;
use crate::matrix::media::Door;
use crate::message::target::split_url;
use crate::origin::intermediary::Intermediary;
use crate::origin::outage::{self, Evidence};
use crate::origin::revalidation::{Lesson, RevalidateBy, Revalidated};
use crate::origin::{OriginAnswer, OriginError, redirect};
use crate::permission;

impl PendingAnswer {
    /// Returns the host that an answer redirects media to, and that the admin would have to name in
    /// `ORIGIN_REDIRECT_HOSTS` first; `None` for any other answer.
    pub fn refused_redirect_host(
        &self,
        answer: &Result<OriginAnswer, OriginError>,
    ) -> Option<String> {
        let answer = answer.as_ref().ok()?;
        let is_followed = self.exchange.follows(&answer.head)
            && !matches!(self.query, OriginQuery::CheckToken)
            && Intermediary::of(answer, &self.method()).is_none();
        let target = redirect::target(&self.request().url, &answer.head)?;
        let is_refused = is_followed && !self.exchange.config.admits_redirect(&target);
        is_refused.then(|| split_url(&target).map(|url| url.authority.to_owned()))?
    }

    /// Returns whether this way of revalidating worked, as far as the answer shows that; `None`
    /// otherwise.
    pub fn lesson(&self, answer: &Result<OriginAnswer, OriginError>) -> Option<Lesson> {
        let (Ok(OriginAnswer { head, .. }), Some(stored)) = (answer, self.stored.as_deref()) else {
            return None;
        };
        let door = self.door();
        let lesson = |by, works| Some(Lesson { door, by, works });
        let is_told = stored.validator().is_told();
        let condition =
            if is_told { RevalidateBy::ToldValidator } else { RevalidateBy::GuessedValidator };
        match (&self.query, head.status) {
            (OriginQuery::Revalidate, StatusCode::NOT_MODIFIED) => {
                permission::confirms_by_condition(head, stored).then_some(())?;
                lesson(condition, true)
            }
            // What is stored was sent again.
            (OriginQuery::Revalidate, StatusCode::OK)
                if permission::has_mark(head, door)
                    && (!is_told || Validator::of(head) == *stored.validator())
                    && head.content_length().is_none_or(|found| found == stored.length_bytes()) =>
            {
                lesson(condition, false)
            }
            (OriginQuery::RevalidateByHead, StatusCode::OK) if head.content_length().is_none() => {
                lesson(RevalidateBy::Head, false)
            }
            (OriginQuery::RevalidateByHead, StatusCode::OK) => {
                permission::confirms_by_head(head, stored, door).then_some(())?;
                lesson(RevalidateBy::Head, true)
            }
            (OriginQuery::FetchAfterHead { .. }, StatusCode::OK) => {
                lesson(RevalidateBy::Head, false)
            }
            _ => None,
        }
    }

    /// Returns the door that the question is about.
    pub fn door(&self) -> Door {
        self.exchange.request.door
    }

    /// Returns whether a HEAD brings what a GET does, as far as the answer shows that: media by
    /// either; `None` for any other answer.
    pub fn knows_head(&self, answer: &Result<OriginAnswer, OriginError>) -> Option<bool> {
        let head = &answer.as_ref().ok()?.head;
        if head.status != StatusCode::OK || !permission::has_mark(head, self.door()) {
            return None;
        }
        match &self.query {
            OriginQuery::RevalidateByHead | OriginQuery::Fetch(Method::HEAD) => Some(true),
            OriginQuery::FetchAfterHead { .. } => Some(false),
            _ => None,
        }
    }

    /// Returns how an answer revalidates what is stored, for the count; `None` for one that is about
    /// something else, or refuses.
    pub fn revalidated(&self, answer: &Result<OriginAnswer, OriginError>) -> Option<Revalidated> {
        let (Ok(OriginAnswer { head, .. }), Some(stored)) = (answer, self.stored.as_deref()) else {
            return None;
        };
        let door = self.door();
        let has_body = self.method() != Method::HEAD;
        match (&self.query, head.status) {
            (OriginQuery::Revalidate, StatusCode::NOT_MODIFIED) => {
                permission::confirms_by_condition(head, stored).then_some(Revalidated::WithoutBody)
            }
            (OriginQuery::RevalidateByHead, StatusCode::OK) => {
                permission::confirms_by_head(head, stored, door).then_some(Revalidated::WithoutBody)
            }
            (
                OriginQuery::Revalidate
                | OriginQuery::Fetch(_)
                | OriginQuery::FetchAfterHead { .. },
                StatusCode::OK,
            ) if has_body => permission::has_mark(head, door).then_some(Revalidated::WithBody),
            (OriginQuery::FollowRedirect(_), StatusCode::OK) => Some(Revalidated::WithBody),
            _ => None,
        }
    }

    /// Returns what an answer shows of whether the homeserver is up.
    pub fn evidence(&self, answer: &Result<OriginAnswer, OriginError>) -> Evidence {
        match (&self.query, answer) {
            // What the homeserver redirects to is not the homeserver.
            (OriginQuery::FollowRedirect(_), _) => Evidence::Unclear,
            (_, Ok(answer)) if self.is_own_word(answer) => Evidence::Up,
            _ => outage::evidence(answer),
        }
    }

    /// Returns whether only the homeserver itself can have sent this answer.
    fn is_own_word(&self, answer: &OriginAnswer) -> bool {
        let door = self.door();
        match (&self.query, answer.head.status) {
            (OriginQuery::Revalidate, StatusCode::NOT_MODIFIED) => {
                let stored = self.stored.as_deref();
                stored.is_some_and(|stored| permission::confirms_by_condition(&answer.head, stored))
            }
            (OriginQuery::CheckToken, StatusCode::OK) => permission::knows_token(answer),
            (
                OriginQuery::Revalidate
                | OriginQuery::RevalidateByHead
                | OriginQuery::ConfirmRedirect
                | OriginQuery::Fetch(_)
                | OriginQuery::FetchAfterHead { .. },
                StatusCode::OK,
            ) => permission::has_mark(&answer.head, door),
            _ => false,
        }
    }
}
