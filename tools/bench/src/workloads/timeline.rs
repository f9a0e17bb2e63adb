//! A reader opens a room: as many thumbnails as it shows, over as many connections as a browser
//! opens, all of them new.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::sample::{Figure, Figures};
use crate::scene::{Scene, timed_ms};

const CONNECTIONS: usize = 6;

/// In which what was loaded can be stored.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) fn open(scene: &Scene<'_>) -> Figures {
    let thumbnails = &scene.world.thumbnails;
    for _ in 0..2 {
        load_all(scene, thumbnails);
        sleep(PAUSE);
    }
    scene.observe(|| {
        let total_ms = timed_ms(|| load_all(scene, thumbnails));
        (thumbnails.len() as u64, Figures::from([(Figure::TotalMs, total_ms)]))
    })
}

fn load_all(scene: &Scene<'_>, thumbnails: &[String]) {
    let next = AtomicUsize::new(0);
    let load = || {
        let mut client = scene.client();
        while let Some(target) = thumbnails.get(next.fetch_add(1, Ordering::Relaxed)) {
            let transfer = client.get(&scene.request("GET", target)).expect("it breaks off");
            assert_eq!(transfer.status, 200, "{}", scene.contender.id.title());
        }
    };
    scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(load);
        }
    });
}
