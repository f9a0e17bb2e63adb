//! Servers that end with their test.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio, exit};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::time::now;

const READY: &str = "READY ";

/// How long a server may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A server in a process group of its own. When this is dropped its standard input closes, upon
/// which it is to end by itself and to leave nothing behind; if it doesn't, its group is killed. The
/// same input closes when the tests' process ends, however that ends.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts `command` and waits for its line `READY …`; returns what follows that word.
    ///
    /// # Panics
    /// When it can't be started, ends, or isn't ready in time.
    pub fn start(command: Command, patience: Duration) -> (Self, String) {
        Self::launch(READY, command, patience, |_| true)
    }

    /// The same with a program that says so in other words, at the beginning of a line.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_saying(
        words: &'static str,
        command: Command,
        patience: Duration,
    ) -> (Self, String) {
        Self::launch(words, command, patience, |_| true)
    }

    /// The same, where every line that it says must be fit to be said. One that isn't ends the
    /// tests: it may come when the test that led to it is over, or from a server that outlasts all.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_watched(
        command: Command,
        patience: Duration,
        is_fit: fn(&str) -> bool,
    ) -> (Self, String) {
        Self::launch(READY, command, patience, is_fit)
    }

    fn launch(
        words: &'static str,
        mut command: Command,
        patience: Duration,
        is_fit: fn(&str) -> bool,
    ) -> (Self, String) {
        let name = format!("{:?}", command.get_program());
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, is_ready) = mpsc::channel();
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        collect(stderr, &log, words, mpsc::channel().0, is_fit);
        collect(stdout, &log, words, ready, is_fit);
        let server = Self { child, log };
        match is_ready.recv_timeout(patience) {
            Ok(said) => (server, said),
            Err(_) => panic!("{name} isn't ready; it said:\n{}", server.log()),
        }
    }

    /// The process that was started.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("The server said:\n{}", self.log());
        }
        drop(self.child.stdin.take());
        let deadline = now() + END_PATIENCE;
        while now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        // An error means that all of it has ended.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A program that knows nothing of its standard input, run so that it ends when that does. Its
/// arguments are the caller's to add.
pub fn ending_with_input(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#""$@" & cat >/dev/null; kill $!; wait $!"#, "sh"]).arg(program);
    command
}

/// Reads lines into the log for as long as there are any.
fn collect(
    from: impl Read + Send + 'static,
    log: &Arc<Mutex<String>>,
    words: &'static str,
    ready: mpsc::Sender<String>,
    is_fit: fn(&str) -> bool,
) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if !is_fit(&line) {
                // Not by a macro, whose text may be kept for a test that passes.
                let _ = writeln!(io::stderr(), "this must never be said: {line}");
                exit(1);
            }
            match line.strip_prefix(words) {
                // Nobody listens any more when a second line says so.
                Some(said) => drop(ready.send(said.to_owned())),
                None => {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.extend([&line, "\n"]);
                }
            }
        }
    });
}

/// A port that nobody listens on.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}

/// The memory that a process holds.
///
/// # Panics
/// When there is no such process.
pub fn resident_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process is gone");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is told");
    let kib = line.trim().trim_end_matches(" kB");
    kib.parse::<u64>().expect("VmRSS is a number") * 1024
}

/// The process named `name` among the children of `id` and theirs.
pub fn descendant(id: u32, name: &str) -> Option<u32> {
    descendants(id).into_iter().find(|child| {
        let command = fs::read_to_string(format!("/proc/{child}/comm"));
        command.is_ok_and(|command| command.trim() == name)
    })
}

/// The children of `id` and theirs.
pub fn descendants(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    let ids = children.split_whitespace().filter_map(|child| child.parse().ok());
    ids.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}
