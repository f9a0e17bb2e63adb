//! The `Cache-Status` answer header (RFC 9211): what the edge did, in words that tools know.

use std::fmt;

use http::{HeaderName, StatusCode};

/// The header's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The edge's name in the header.
const CACHE_NAME: &str = "matrix-media-edge";

/// The edge's member of the header's list. The `key` parameter is left out on purpose, since it
/// would describe other clients' requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    /// Whether the origin was asked.
    pub source: Source,
    /// Whether its answer is being stored.
    pub is_stored: bool,
    /// The word behind the decision.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Returns whether the member depends on what is stored, as it does unless the request bypassed
    /// the cache.
    pub const fn depends_on_store(&self) -> bool {
        !matches!(self.source, Source::Forwarded { reason: ForwardReason::Bypass, .. })
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A stored response, without a question to the origin (RFC 9211 §2.1).
    Hit {
        /// How long the permission lasts (§2.5); negative, if it is served though that has ended.
        ttl_secs: i64,
    },
    /// The origin was asked (§2.2).
    Forwarded {
        /// Why.
        reason: ForwardReason,
        /// The status of its answer (§2.3); `None` if there was none.
        status: Option<StatusCode>,
    },
}

/// RFC 9211 §2.2: why a request went forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardReason {
    /// Not looked up.
    Bypass,
    /// A stored response had to be revalidated.
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
        f.write_str(CACHE_NAME)?;
        match self.source {
            Source::Hit { ttl_secs } => write!(f, "; hit; ttl={ttl_secs}")?,
            Source::Forwarded { reason, status } => {
                write!(f, "; fwd={}", reason.as_str())?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={}", status.as_u16())?;
                }
            }
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
    fn parameters_are_written_as_tools_read_them() {
        let forwarded = |reason, status| Source::Forwarded { reason, status };
        for (source, is_stored, detail, expected) in [
            (
                forwarded(ForwardReason::UriMiss, Some(StatusCode::OK)),
                true,
                None,
                "matrix-media-edge; fwd=uri-miss; fwd-status=200; stored",
            ),
            (
                forwarded(ForwardReason::Bypass, None),
                false,
                Some("upload"),
                "matrix-media-edge; fwd=bypass; detail=upload",
            ),
            (Source::Hit { ttl_secs: 42 }, false, None, "matrix-media-edge; hit; ttl=42"),
        ] {
            assert_eq!(CacheStatus { source, is_stored, detail }.to_string(), expected);
        }
    }
}
