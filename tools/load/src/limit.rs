//! A hard limit of memory: a control group of the kernel's (cgroup v2), whose processes it ends when
//! they take more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// Where the kernel shows its control groups.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// What a Worker's process may take beside what it took at its start, in bytes.
pub(crate) const MAX_BYTES: u64 = 256_000_000;

/// A control group of the load's own. It is removed when this is dropped, after its processes.
#[derive(Debug)]
pub(crate) struct Limit {
    folder: PathBuf,
}

impl Limit {
    /// Makes a control group below `root`.
    ///
    /// # Errors
    /// Why that can't be had, for whoever asked for it.
    pub(crate) fn create(root: &Path, name: &str) -> Result<Self, String> {
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        if !controllers.split_whitespace().any(|controller| controller == "memory") {
            return Err(format!(
                "a hard limit needs control groups of version 2 with the memory controller at {}, \
                 which this machine doesn't have: run it without the limit",
                root.display()
            ));
        }
        let cannot = |error: io::Error| {
            format!(
                "a hard limit needs a control group of its own in {}, which can't be made \
                 ({error}): run it as root where that is writable, or without the limit",
                root.display()
            )
        };
        fs::write(root.join("cgroup.subtree_control"), "+memory").map_err(cannot)?;
        let folder = root.join(format!("matrix-media-edge-load-{}-{name}", process::id()));
        fs::create_dir(&folder).map_err(cannot)?;
        let limit = Self { folder };
        fs::write(limit.folder.join("memory.max"), MAX_BYTES.to_string()).map_err(cannot)?;
        // Where nothing is swapped there is no such file.
        let _ = fs::write(limit.folder.join("memory.swap.max"), "0");
        Ok(limit)
    }

    /// Holds a process to it, as to what it takes from now on.
    ///
    /// # Errors
    /// Why that can't be done.
    pub(crate) fn hold(&self, process: u32) -> Result<(), String> {
        let held = fs::write(self.folder.join("cgroup.procs"), process.to_string());
        held.map_err(|error| format!("process {process} can't be limited: {error}"))
    }

    /// How often the kernel ended a process for it.
    pub(crate) fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|kills| kills.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // An error means that a process is still ending: an empty group takes nothing.
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a tree of control groups with these controllers.
    fn tree(name: &str, controllers: &str) -> PathBuf {
        let root = Path::new(test_support::ROOT).join(format!("target/load-{name}"));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("target is writable");
        fs::write(root.join("cgroup.controllers"), controllers).expect("it is writable");
        root
    }

    #[test]
    fn a_machine_without_the_memory_controller_is_told_what_is_missing() {
        let root = tree("none", "cpu hugetlb io\n");
        let problem = Limit::create(&root, "strict").expect_err("there is none");
        assert!(problem.contains("memory controller"), "{problem}");
        let problem = Limit::create(&root.join("gone"), "strict").expect_err("there is none");
        assert!(problem.contains("memory controller"), "{problem}");
    }

    #[test]
    fn a_process_is_put_into_a_group_with_the_limit() {
        let root = tree("some", "cpu memory\n");
        let limit = Limit::create(&root, "strict").expect("it can be made");
        limit.hold(7).expect("it can be limited");
        let read = |name| fs::read_to_string(limit.folder.join(name)).expect("it was written");
        assert_eq!((read("memory.max"), read("cgroup.procs")), (MAX_BYTES.to_string(), "7".into()));
        assert_eq!(limit.kills(), 0);
        fs::write(limit.folder.join("memory.events"), "oom 3\noom_kill 2\n").expect("writable");
        assert_eq!(limit.kills(), 2);
    }
}
