//! `make dev`: the Worker under `wrangler dev`, as a person runs it.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use test_support::http::Request;
use test_support::process::free_port;
use test_support::time::wait_for;

const STOP_PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn make_dev_serves_the_worker_until_it_is_interrupted() {
    let port = free_port();
    let dev = Dev::start(port);

    let preflight = Request::new("OPTIONS", "/_matrix/client/v1/media/download/example.com/a")
        .header("Host", format!("localhost:{port}"))
        .header("Origin", "https://app.example.com")
        .header("Access-Control-Request-Method", "GET")
        .send(&format!("127.0.0.1:{port}"));
    assert_eq!(preflight.status, 204);

    let processes = processes_about(port);
    assert!(processes.iter().any(|process| process.contains("workerd")), "{processes:?}");
    drop(dev);
    wait_for("all to end", STOP_PATIENCE, || processes_about(port).is_empty().then_some(()));
}

#[test]
fn make_dev_tells_when_its_port_is_busy() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = listener.local_addr().expect("it is bound").port();

    let Output { status, stderr, .. } =
        command(port).output().expect("scripts/dev can't be started");

    assert!(!status.success());
    let said = String::from_utf8_lossy(&stderr);
    assert!(said.starts_with(&format!("dev: port {port} can't be used")), "{said}");
}

/// A `make dev`; dropping it is Ctrl-C.
struct Dev {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Dev {
    fn start(port: u16) -> Self {
        let mut command = command(port);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("it can be started");
        let said = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut dev = Self { process, said };
        let mut lines = dev.said.by_ref().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("The edge is ready")), "it did not start");
        dev
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Where this fails it has ended by itself.
        let _ =
            Command::new("sh").args(["-c", &format!("kill -INT {}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

/// `make dev` with a homeserver that isn't there: what is asked here, the edge answers by itself.
fn command(port: u16) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/dev"));
    command.env("PORT", port.to_string());
    command.env("HOMESERVER_URL", "http://127.0.0.1:9").env("SERVER_NAME", "example.com");
    command.env_remove("WELL_KNOWN_URL").stdin(Stdio::null());
    command
}

/// The command lines of wrangler and workerd for this port.
fn processes_about(port: u16) -> Vec<String> {
    let marks = [format!("--port {port}"), format!("127.0.0.1:{port}")];
    let processes = fs::read_dir("/proc").expect("this is Linux").map_while(Result::ok);
    let command_line = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).ok();
    let lines = processes.filter_map(command_line);
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| marks.iter().any(|mark| line.contains(mark))).collect()
}
