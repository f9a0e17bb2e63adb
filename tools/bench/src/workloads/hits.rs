//! The same request again and again, over several connections.

use crate::contenders::Id;
use crate::load::Load;
use crate::sample::{Figure, Figures};
use crate::scene::Scene;
use crate::world::{BIG_BYTES, IMAGE_BYTES, World};

const CONNECTIONS: u32 = 8;

/// Fewer for large bodies: what is measured is how fast bytes move.
const BIG_CONNECTIONS: u32 = 4;

const THUMBNAIL_BYTES: usize = 4 << 10;

const PREFLIGHT: &[(&str, &str)] = &[
    ("Origin", "https://app.example.org"),
    ("Access-Control-Request-Method", "GET"),
    ("Access-Control-Request-Headers", "authorization"),
];

pub(crate) fn thumbnail(scene: &Scene<'_>) -> Figures {
    hit(scene, &scene.world.thumbnails[0], THUMBNAIL_BYTES, CONNECTIONS)
}

/// With what a strict hit takes beyond the 304 that it waits for.
pub(crate) fn thumbnail_alone(scene: &Scene<'_>) -> Figures {
    let mut figures = hit(scene, &scene.world.thumbnails[0], THUMBNAIL_BYTES, 1);
    if scene.contender.id == Id::Strict {
        let overhead_ms = figures[&Figure::P50Ms] - not_modified_p50_ms(scene);
        figures.insert(Figure::OverOriginMs, overhead_ms);
    }
    figures
}

pub(crate) fn image(scene: &Scene<'_>) -> Figures {
    hit(scene, &scene.world.image, IMAGE_BYTES, CONNECTIONS)
}

pub(crate) fn big(scene: &Scene<'_>) -> Figures {
    hit(scene, &scene.world.big, BIG_BYTES, BIG_CONNECTIONS)
}

pub(crate) fn federation(scene: &Scene<'_>) -> Figures {
    let target = World::federated(&scene.world.big);
    // What V8 still compiles in the first seconds is no cost of a hit.
    hit(scene, &target, BIG_BYTES, BIG_CONNECTIONS);
    hit(scene, &target, BIG_BYTES, BIG_CONNECTIONS)
}

pub(crate) fn well_known(scene: &Scene<'_>) -> Figures {
    let target = "/.well-known/matrix/client";
    scene.warm(target);
    run(scene, target, |load| load)
}

pub(crate) fn preflight(scene: &Scene<'_>) -> Figures {
    let target = &scene.world.image;
    run(scene, target, |load| Load { method: "OPTIONS", headers: PREFLIGHT, ..load })
}

pub(crate) fn refused(scene: &Scene<'_>) -> Figures {
    let authorization = "Bearer syt_nobody";
    run(scene, &scene.world.image, |load| Load { authorization, is_refused: true, ..load })
}

/// Synapse's own 304, by the way that the edge takes to it.
fn not_modified_p50_ms(scene: &Scene<'_>) -> f64 {
    let target = &scene.world.thumbnails[0];
    let authorization = scene.world.authorization("GET", target);
    let url = format!("http://{}{target}", scene.contender.link.address);
    let load = Load {
        method: "GET",
        url: &url,
        authorization: &authorization,
        headers: &[("If-None-Match", "1")],
        connections: 1,
        seconds: scene.seconds,
        is_refused: false,
    };
    load.run().figures()[&Figure::P50Ms]
}

fn hit(scene: &Scene<'_>, target: &str, body_bytes: usize, connections: u32) -> Figures {
    scene.warm(target);
    let figures = run(scene, target, |load| Load { connections, ..load });
    if scene.contender.id != Id::Synapse {
        let fetched = figures[&Figure::OriginKilobytesPer1000];
        let is_hit = fetched < body_bytes as f64 / 2.0;
        assert!(is_hit, "{}: {fetched} bytes of {target}", scene.contender.id.title());
    }
    figures
}

fn run(scene: &Scene<'_>, target: &str, change: impl FnOnce(Load<'_>) -> Load<'_>) -> Figures {
    let authorization = scene.world.authorization("GET", target);
    let url = format!("http://{}{target}", scene.address());
    let load = change(Load {
        method: "GET",
        url: &url,
        authorization: &authorization,
        headers: &[],
        connections: CONNECTIONS,
        seconds: scene.seconds,
        is_refused: false,
    });
    scene.observe(|| {
        let told = load.run();
        (told.requests, told.figures())
    })
}
