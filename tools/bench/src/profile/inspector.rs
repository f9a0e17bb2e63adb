//! V8's inspector, which workerd offers at a port, by the Chrome DevTools Protocol.
//!
//! <https://chromedevtools.github.io/devtools-protocol/v8/>

use std::net::TcpStream;

use serde::Deserialize;
use serde_json::{Value, json};
use test_support::http::Request;
use tungstenite::{Message, WebSocket};

/// How far apart samples are, or little more.
pub(crate) const INTERVAL_MICROS: i64 = 200;

#[derive(Debug)]
pub(crate) struct Inspector {
    socket: WebSocket<TcpStream>,
    asked: u64,
}

/// What `Runtime.getHeapUsage` says, in bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeapUsage {
    pub(crate) used_size: f64,
    pub(crate) embedder_heap_used_size: f64,
    pub(crate) backing_storage_size: f64,
}

impl Inspector {
    /// Connects to the only Worker at this port.
    pub(crate) fn connect(port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let list = Request::new("GET", "/json").header("Host", &address).send(&address).json();
        let url = list[0]["webSocketDebuggerUrl"].as_str().expect("it names its Worker");
        let stream = TcpStream::connect(&address).expect("it has just answered");
        let (socket, _) = tungstenite::client(url, stream).expect("it speaks WebSocket");
        Self { socket, asked: 0 }
    }

    /// What the Worker's isolate does in the meantime, as a `Profiler.Profile`.
    pub(crate) fn profile(&mut self, act: impl FnOnce()) -> Value {
        self.call("Profiler.enable", &json!({}));
        self.call("Profiler.setSamplingInterval", &json!({ "interval": INTERVAL_MICROS }));
        self.call("Profiler.start", &json!({}));
        act();
        self.call("Profiler.stop", &json!({}))["profile"].take()
    }

    pub(crate) fn heap_usage(&mut self) -> HeapUsage {
        serde_json::from_value(self.call("Runtime.getHeapUsage", &json!({}))).expect("it is V8's")
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let question = json!({ "id": self.asked, "method": method, "params": params });
        self.socket.send(Message::text(question.to_string())).expect("it listens");
        loop {
            let said = self.socket.read().expect("it answers").into_data();
            let mut said = serde_json::from_slice::<Value>(&said).expect("it speaks JSON");
            // All else is of events.
            if said["id"] == self.asked {
                assert_eq!(said["error"], Value::Null, "{method}");
                return said["result"].take();
            }
        }
    }
}
