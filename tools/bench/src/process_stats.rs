//! What processes cost, by the kernel's own books.

use std::fs;
use std::path::{Path, PathBuf};

use test_support::process::descendants;

/// A process, its children and theirs.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    root: u32,
}

impl Processes {
    pub(crate) fn of(id: u32) -> Self {
        Self { root: id }
    }

    /// The time that all their threads have taken.
    pub(crate) fn cpu_ms(&self) -> f64 {
        let threads = self.ids().into_iter().flat_map(threads);
        let spent_ns: u64 = threads.map(|thread| spent_ns(&thread.join("schedstat"))).sum();
        spent_ns as f64 / 1e6
    }

    /// Lets the peak of memory begin anew.
    pub(crate) fn forget_peak(&self) {
        for id in self.ids() {
            fs::write(format!("/proc/{id}/clear_refs"), "5").expect("the process is ours");
        }
    }

    /// The memory that they hold now.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.sum_mib("VmRSS:")
    }

    /// The most that they have held since the peak was forgotten.
    pub(crate) fn peak_resident_mib(&self) -> f64 {
        self.sum_mib("VmHWM:")
    }

    fn sum_mib(&self, name: &str) -> f64 {
        let kib: u64 = self.read("status").iter().map(|status| kib(status, name)).sum();
        kib as f64 / 1024.0
    }

    fn ids(&self) -> Vec<u32> {
        [vec![self.root], descendants(self.root)].concat()
    }

    /// A file of each. Some end meanwhile, such as nginx's loader of an empty cache.
    fn read(&self, file: &str) -> Vec<String> {
        let path = |id| format!("/proc/{id}/{file}");
        self.ids().into_iter().filter_map(|id| fs::read_to_string(path(id)).ok()).collect()
    }
}

fn threads(id: u32) -> Vec<PathBuf> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten();
    threads.map_while(Result::ok).map(|thread| thread.path()).collect()
}

/// The first field of a thread's `schedstat`; nothing for a thread that has just ended. `stat` says
/// the same in hundredths of a second, which is more than most of what is measured takes.
fn spent_ns(schedstat: &Path) -> u64 {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or_default()
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is told");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

#[cfg(test)]
mod tests {
    use std::process;
    use std::sync::Barrier;
    use std::thread::scope;
    use std::time::Duration;

    use test_support::time::now;

    use super::*;

    #[test]
    fn the_work_of_every_thread_counts() {
        let this = Processes::of(process::id());
        let before = this.cpu_ms();
        let (done, counted) = (Barrier::new(2), Barrier::new(2));
        scope(|scope| {
            scope.spawn(|| {
                let started = now();
                while started.elapsed() < Duration::from_millis(200) {}
                done.wait();
                counted.wait();
            });
            done.wait();
            let spent = this.cpu_ms() - before;
            counted.wait();
            assert!(spent > 10.0, "{spent} ms");
        });
    }

    #[test]
    fn memory_is_read_by_its_name() {
        assert_eq!(kib("VmPeak:\t  9 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 7 kB\n", "VmHWM:"), 2048);
    }
}
