//! What a Worker holds when it has served more thumbnails than its memory may keep.

use std::fmt::Write as _;
use std::io::{self, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::thread::{scope, spawn};

use plot::Spread;
use test_support::http::Request;
use test_support::process::free_port;
use test_support::wire::read_request_head;

use super::inspector::Inspector;
use crate::client::Client;
use crate::contenders::{OURS, Workerd, our_vars};
use crate::process_stats::Processes;
use crate::report::number;

/// All different, and all of one media: what it is in sizes that nobody else asked for.
const THUMBNAILS: usize = 100_000;

const BODY: [u8; 4096] = [3; 4096];

const CONNECTIONS: usize = 4;

/// How often memory is looked at while the second half of them is asked for.
const LOOKS: usize = 25;

/// What was held, in MiB.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// By the process, as the kernel counts.
    resident: f64,
    /// By the isolate: the objects on V8's heap, garbage that is not yet collected among them, and
    /// the buffers beside it. Wasm's memory is not in it.
    isolate: f64,
}

impl Held {
    fn now(processes: &Processes, inspector: &mut Inspector) -> Self {
        let heap = inspector.heap_usage();
        let bytes = heap.used_size + heap.embedder_heap_used_size + heap.backing_storage_size;
        Self { resident: processes.resident_mib(), isolate: bytes / f64::from(1 << 20) }
    }
}

pub(crate) fn told(folder: &str) -> String {
    let origin = start_origin();
    let js_vars = [("ORIGIN", origin.as_str())];
    let ours = |mib: &'static str| {
        let mut vars = our_vars(&origin, "localhost", "300").to_vec();
        vars.push(("MEMORY_CACHE_MIB", mib));
        vars
    };
    let mut text = format!(
        "{THUMBNAILS} different thumbnails of {} bytes are asked for once, over {CONNECTIONS} \
         connections, and then all once more. In MiB: what the process holds, the most at any of \
         {LOOKS} looks; what of it V8 has in the isolate, from the least, when garbage was just \
         collected, to the most.\n\n\
         | | at the start | misses | in the isolate | hits | in the isolate |\n\
         |---|--:|--:|--:|--:|--:|\n",
        BODY.len()
    );
    for (title, worker, vars) in [
        ("(c) JS Worker, Cache API", "tools/bench/workers/caching", js_vars.to_vec()),
        ("ours, `MEMORY_CACHE_MIB=0`", OURS, ours("0")),
        ("ours, `MEMORY_CACHE_MIB=32`", OURS, ours("32")),
    ] {
        eprintln!("memory of {title}");
        let (start, misses, hits) = look(folder, worker, &vars);
        let _ = write!(text, "| {title} | {} |", number(start.resident));
        for looks in [misses, hits] {
            let resident = Spread::of(looks.iter().map(|held| held.resident).collect());
            let isolate = Spread::of(looks.iter().map(|held| held.isolate).collect());
            let (resident, isolate) = resident.zip(isolate).expect("there are some");
            let [resident, least, most] = [resident.most, isolate.least, isolate.most].map(number);
            let _ = write!(text, " {resident} | {least}–{most} |");
        }
        text += "\n";
    }
    text
}

/// At the start, while all are misses, and while none is. The first half of a pass only fills what
/// is to be looked at.
fn look(folder: &str, worker: &str, vars: &[(&str, &str)]) -> (Held, Vec<Held>, Vec<Held>) {
    let port = free_port();
    let workerd = Workerd::start(&format!("{folder}/memory"), worker, vars, Some(port));
    ask(&workerd.address, 0..1);
    let processes = Processes::of(workerd.id());
    let mut inspector = Inspector::connect(port);
    let start = Held::now(&processes, &mut inspector);
    let mut ask_all = || {
        let half = THUMBNAILS / 2;
        ask(&workerd.address, 0..half);
        let step = half / LOOKS;
        let steps = (half..THUMBNAILS).step_by(step);
        let look = |from| {
            ask(&workerd.address, from..from + step);
            Held::now(&processes, &mut inspector)
        };
        steps.map(look).collect::<Vec<_>>()
    };
    let (misses, hits) = (ask_all(), ask_all());
    (start, misses, hits)
}

fn ask(address: &str, numbers: Range<usize>) {
    let ask_each = |offset: usize| {
        let mut client = Client::connect(address).expect("it can be reached");
        for number in numbers.clone().skip(offset).step_by(CONNECTIONS) {
            let path = format!("/_matrix/client/v1/media/thumbnail/localhost/abc{number}");
            let target = format!("{path}?width=320&height=240&method=scale");
            let request = Request::new("GET", target)
                .header("Host", "media.example.org")
                .header("Authorization", "Bearer syt_alice");
            let transfer = client.get(&request).expect("it answers");
            assert_eq!((transfer.status, transfer.body_bytes), (200, BODY.len() as u64));
        }
    };
    scope(|scope| {
        for offset in 0..CONNECTIONS {
            scope.spawn(move || ask_each(offset));
        }
    });
}

/// A homeserver that has all thumbnails, and grants them to everyone; returns its URL.
fn start_origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no port is free");
    let address = listener.local_addr().expect("it is bound");
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            spawn(move || drop(serve(stream)));
        }
    });
    format!("http://{address}")
}

fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_request_head(&mut stream)? {
        let to = stream.get_mut();
        if head.headers.get("if-none-match").is_some() {
            to.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n")?;
        } else {
            let head = format!("Content-Type: image/png\r\nContent-Length: {}", BODY.len());
            let head = format!("HTTP/1.1 200 OK\r\nETag: 1\r\n{head}\r\n\r\n");
            to.write_all(&[head.as_bytes(), &BODY].concat())?;
        }
    }
    Ok(())
}
