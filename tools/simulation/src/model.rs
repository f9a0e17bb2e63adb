//! What is assumed of readers, media and data centres.

/// All of it, in numbers.
pub(crate) struct Model {
    pub(crate) pops: usize,
    /// How many isolates of a data centre take turns. A request comes to any of them.
    pub(crate) isolates: usize,
    /// How long an isolate lives.
    pub(crate) isolate_life_secs: u64,
    /// What a data centre keeps for this Worker before it evicts what was used least recently.
    pub(crate) pop_cache_bytes: u64,
    pub(crate) media: usize,
    /// Exponent of the Zipf distribution by which media are read.
    pub(crate) media_exponent: f64,
    pub(crate) readers: usize,
    /// Exponent of the Zipf distribution by which readers live near data centres.
    pub(crate) pop_exponent: f64,
    /// How likely a session is at another data centre than the reader's own.
    pub(crate) away: f64,
    /// How many sessions there are to a reader.
    pub(crate) sessions: f64,
    /// How many requests there are to a session, on average.
    pub(crate) session_requests: f64,
    /// The time between two of them, on average.
    pub(crate) pause_secs: f64,
    /// How much busier the evening is than the average hour.
    pub(crate) evening: f64,
    /// The representations of a media.
    pub(crate) representations: [Representation; 3],
    /// How many media are quarantined, each right after somebody has read it.
    pub(crate) quarantines: usize,
    /// How many tokens are revoked, each right after it was used.
    pub(crate) revocations: usize,
    /// How long either lasts.
    pub(crate) refused_secs: u64,
}

/// One form of a media: lognormal in length.
#[derive(Clone, Copy)]
pub(crate) struct Representation {
    pub(crate) name: &'static str,
    pub(crate) share: f64,
    pub(crate) median_bytes: f64,
    pub(crate) sigma: f64,
    pub(crate) max_bytes: f64,
}

pub(crate) const DAY_SECS: u64 = 86_400;

pub(crate) const DAY: Model = Model {
    pops: 50,
    isolates: 4,
    isolate_life_secs: 2 * 3600,
    pop_cache_bytes: 2 << 30,
    media: 10_000,
    media_exponent: 1.0,
    readers: 100_000,
    pop_exponent: 0.7,
    away: 0.05,
    sessions: 1.0,
    session_requests: 16.0,
    pause_secs: 4.0,
    evening: 0.8,
    representations: [
        Representation {
            name: "the file itself",
            share: 0.15,
            median_bytes: 300e3,
            sigma: 1.6,
            max_bytes: 50e6,
        },
        Representation {
            name: "a thumbnail of 96×96",
            share: 0.5,
            median_bytes: 6e3,
            sigma: 0.6,
            max_bytes: 50e3,
        },
        Representation {
            name: "a thumbnail of 800×600",
            share: 0.35,
            median_bytes: 60e3,
            sigma: 0.6,
            max_bytes: 500e3,
        },
    ],
    quarantines: 500,
    revocations: 2000,
    refused_secs: 3600,
};
