//! The homeserver: answers as Synapse does, and counts what that costs it.

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH,
};
use matrix_media_edge::origin::{OriginAnswer, OriginHead, OriginRequest};

use crate::setting::SERVER_NAME;
use crate::workload::{Change, Request, Workload, media_id};

/// How many changes a page of the list has at most.
const PAGE_ROWS: usize = 100;

/// What the homeserver had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Answers with a body of media.
    pub(crate) bodies: u64,
    pub(crate) body_bytes: u64,
    /// Answers without: 304, 401, 404.
    pub(crate) words: u64,
}

impl Effort {
    /// The answer to what the edge asks for a client's sake.
    pub(crate) fn answer(
        &mut self,
        workload: &Workload,
        request: &Request,
        asked: &OriginRequest,
    ) -> OriginAnswer {
        let item = workload.item(request);
        assert!(asked.url.ends_with(item.target.as_str()), "the client's own question");
        let tag = HeaderValue::from_static("1");
        let headers = HeaderMap::from_iter([(ETAG, tag.clone())]);
        let (status, errcode) = match asked.set.get(IF_NONE_MATCH) {
            _ if workload.revoked_for_ms(request).is_some() => {
                (StatusCode::UNAUTHORIZED, Some("M_UNKNOWN_TOKEN"))
            }
            _ if workload.quarantined_for_ms(request).is_some() => {
                (StatusCode::NOT_FOUND, Some("M_NOT_FOUND"))
            }
            Some(known) if *known == tag => (StatusCode::NOT_MODIFIED, None),
            _ => return OriginAnswer::unread(self.send(item.length_bytes, headers)),
        };
        self.words += 1;
        let text = errcode.map(|errcode| format!("{{\"errcode\":\"{errcode}\"}}"));
        OriginAnswer { head: OriginHead { status, headers }, text }
    }

    fn send(&mut self, length_bytes: u64, mut headers: HeaderMap) -> OriginHead {
        self.bodies += 1;
        self.body_bytes += length_bytes;
        let text = HeaderValue::from_static;
        headers.insert(CACHE_CONTROL, text("public,max-age=86400,s-maxage=0,proxy-revalidate"));
        headers.insert(CONTENT_DISPOSITION, text("inline"));
        headers.insert(CONTENT_TYPE, text("image/webp"));
        headers.insert(CONTENT_LENGTH, length_bytes.into());
        OriginHead { status: StatusCode::OK, headers }
    }
}

/// Returns the page of what was quarantined and released that is asked for at this URL.
pub(crate) fn quarantine_changes(workload: &Workload, url: &str, at_ms: u64) -> String {
    let from = url.rsplit_once("?from=").and_then(|(_, from)| from.parse().ok());
    let from: usize = from.expect("a position");
    let made = workload.changes.partition_point(|change| change.at_ms <= at_ms);
    let end = made.min(from + PAGE_ROWS);
    let row = |change: &Change| {
        let (media, quarantined) = (media_id(change.media), change.is_quarantined);
        format!(r#"{{"origin":"{SERVER_NAME}","media_id":"{media}","quarantined":{quarantined}}}"#)
    };
    let rows: Vec<_> = workload.changes[from..end].iter().map(row).collect();
    format!(r#"{{"next_batch":{end},"changes":[{}]}}"#, rows.join(","))
}
