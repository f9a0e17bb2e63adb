//! The `Cache-Status` answer header (RFC 9211): what the edge did, in words that tools know.

use std::fmt;

use http::{HeaderName, StatusCode};

/// The header's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What we call ourselves in it.
const CACHE_NAME: &str = "matrix-media-edge";

/// One member of the header's list: ours. The `key` parameter is left out on purpose, since it
/// would describe other clients' requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    /// Why the origin was asked.
    pub forward: ForwardReason,
    /// What the origin answered; absent if it didn't.
    pub origin_status: Option<StatusCode>,
    /// Whether its answer is being stored.
    pub is_stored: bool,
    /// The word behind the decision.
    pub detail: Option<&'static str>,
}

/// RFC 9211 §2.2: why a request went forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardReason {
    /// Not looked up.
    Bypass,
    /// A stored response needed the origin's word.
    Stale,
    /// Nothing is stored under this key.
    UriMiss,
}

impl ForwardReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Stale => "stale",
            Self::UriMiss => "uri-miss",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CACHE_NAME}; fwd={}", self.forward.as_str())?;
        if let Some(status) = self.origin_status {
            write!(f, "; fwd-status={}", status.as_u16())?;
        }
        if self.is_stored {
            f.write_str("; stored")?;
        }
        if let Some(detail) = self.detail {
            write!(f, "; detail={detail}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_in_the_rfcs_order() {
        let status = CacheStatus {
            forward: ForwardReason::UriMiss,
            origin_status: Some(StatusCode::OK),
            is_stored: true,
            detail: None,
        };
        assert_eq!(status.to_string(), "matrix-media-edge; fwd=uri-miss; fwd-status=200; stored");
        let status = CacheStatus {
            forward: ForwardReason::Bypass,
            origin_status: None,
            is_stored: false,
            detail: Some("upload"),
        };
        assert_eq!(status.to_string(), "matrix-media-edge; fwd=bypass; detail=upload");
    }
}
