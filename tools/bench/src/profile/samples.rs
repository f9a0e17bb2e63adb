//! Where the samples of a CPU profile fall.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::inspector::INTERVAL_MICROS;

/// A `Profiler.Profile`: a tree of calls, and which of them was under way at each sample.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CpuProfile {
    nodes: Vec<Node>,
    samples: Vec<u32>,
    /// Microseconds since the sample before.
    time_deltas: Vec<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: u32,
    call_frame: Frame,
    #[serde(default)]
    children: Vec<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    function_name: String,
    url: String,
}

/// What a sample's time went into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    Collector,
    Entry,
    Request,
    Response,
    Elsewhere,
    Core,
}

impl Room {
    pub(crate) const ALL: [Self; 6] =
        [Self::Collector, Self::Entry, Self::Request, Self::Response, Self::Elsewhere, Self::Core];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Collector => "garbage collection",
            Self::Entry => "JavaScript before and around the Worker's code; all of a JS Worker's",
            Self::Request => "reading the request's head",
            Self::Response => "making the response and its headers",
            Self::Elsewhere => "calls from wasm to other parts of the platform",
            Self::Core => "Rust",
        }
    }

    /// By the frames under way, the innermost first; nothing where none was, or none of the isolate.
    fn of(stack: &[&Frame]) -> Option<Self> {
        let is_within = |name: &str| stack.iter().any(|at| at.function_name.starts_with(name));
        Some(match stack.first()?.function_name.as_str() {
            "(idle)" | "(program)" => return None,
            "(garbage collector)" => Self::Collector,
            _ if is_within("__wbg_requestHead_") => Self::Request,
            "Response" | "Headers" => Self::Response,
            _ if is_within("__wbg_response_") => Self::Response,
            _ if stack[0].is_wasm() => Self::Core,
            _ if stack.iter().any(|frame| frame.is_wasm()) => Self::Elsewhere,
            _ => Self::Entry,
        })
    }
}

impl Frame {
    fn is_wasm(&self) -> bool {
        self.url.starts_with("wasm:")
    }

    /// The module of ours that this function is in.
    fn module(&self) -> Option<String> {
        let (_, path) = self.function_name.split_once("matrix_media_edge::")?;
        let mut segments = path.split("::").collect::<Vec<_>>();
        let is_name = |segment: &&str| segment.starts_with(|c: char| c.is_ascii_lowercase());
        let names = segments.iter().take_while(|segment| is_name(segment)).count();
        let is_of_a_type = segments.get(names).is_some_and(|s| s.starts_with(char::is_uppercase));
        segments.truncate(names);
        if segments.last().is_some_and(|last| is_hash(last)) {
            segments.pop();
        }
        // What is no type's is a function's name.
        if !is_of_a_type {
            segments.pop();
        }
        Some(segments.join("::"))
    }
}

/// What rustc ends the names of functions with.
fn is_hash(segment: &str) -> bool {
    segment.len() == 17 && segment[1..].bytes().all(|b| b.is_ascii_hexdigit())
}

/// Where the isolate spent how many microseconds.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) rooms: BTreeMap<Room, f64>,
    /// What [`Room::Core`] is made of, by the modules of ours, whatever they call included.
    pub(crate) modules: BTreeMap<String, f64>,
}

impl CpuProfile {
    /// What a sample stands for. The profiler looks while the isolate runs: more time has passed
    /// since the sample before where the isolate did not run on.
    fn interval_micros(&self) -> f64 {
        let ran_on = self.time_deltas.iter().filter(|delta| **delta < 2 * INTERVAL_MICROS);
        let mut deltas = ran_on.collect::<Vec<_>>();
        deltas.sort_unstable();
        deltas.get(deltas.len() / 2).map_or(INTERVAL_MICROS, |median| **median) as f64
    }

    pub(crate) fn spent(&self) -> Spent {
        let nodes = self.nodes.iter().map(|node| (node.id, node)).collect::<BTreeMap<_, _>>();
        let parents =
            self.nodes.iter().flat_map(|node| node.children.iter().map(|c| (*c, node.id)));
        let parents = parents.collect::<BTreeMap<_, _>>();
        let (mut rooms, mut modules) = (BTreeMap::<_, f64>::new(), BTreeMap::<_, f64>::new());
        let interval_micros = self.interval_micros();
        for id in &self.samples {
            let ids = std::iter::successors(Some(id), |id| parents.get(id));
            let stack = ids.map(|id| &nodes[id].call_frame).collect::<Vec<_>>();
            let Some(room) = Room::of(&stack) else { continue };
            *rooms.entry(room).or_default() += interval_micros;
            if room == Room::Core {
                let module = stack.iter().find_map(|frame| frame.module());
                *modules.entry(module.unwrap_or_default()).or_default() += interval_micros;
            }
        }
        Spent { rooms, modules }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function_name: &str, url: &str) -> Frame {
        Frame { function_name: function_name.to_owned(), url: url.to_owned() }
    }

    #[test]
    fn a_function_is_in_the_module_that_its_name_tells() {
        for (name, module) in [
            ("matrix_media_edge::edge::answer::{{closure}}::hc77cca113a29a117", "edge"),
            ("matrix_media_edge::target::decode_form::h6c67d80f654cd421", "target"),
            ("matrix_media_edge::exchange::Exchange::begin::h02d3fd2eca91031e", "exchange"),
            (
                "<matrix_media_edge::edge::guard::Guarded<T> as Future>::poll::{{closure}}",
                "edge::guard",
            ),
        ] {
            assert_eq!(frame(name, "wasm://a").module().as_deref(), Some(module), "{name}");
        }
        assert_eq!(frame("core::fmt::write", "wasm://a").module(), None);
    }

    #[test]
    fn time_is_told_by_what_was_under_way() {
        let profile = CpuProfile {
            nodes: [
                (1, "(root)", "", vec![2, 3, 4]),
                (2, "(idle)", "", vec![]),
                (3, "(program)", "", vec![]),
                (4, "fetch", "index.js", vec![5]),
                (5, "matrix_media_edge::route::admit::h6c67d80f654cd421", "wasm://a", vec![6, 7]),
                (6, "core::fmt::write", "wasm://a", vec![]),
                (7, "__wbg_requestHead_1", "index.js", vec![]),
            ]
            .map(|(id, name, url, children)| Node { id, call_frame: frame(name, url), children })
            .into(),
            samples: vec![2, 3, 6, 6, 7, 4, 5],
            time_deltas: vec![900, 200, 200, 200, 200, 200, 30],
        };
        let Spent { rooms, modules } = profile.spent();
        let expected = [(Room::Entry, 200.0), (Room::Request, 200.0), (Room::Core, 600.0)];
        assert_eq!(rooms, BTreeMap::from(expected));
        assert_eq!(modules, BTreeMap::from([("route".to_owned(), 600.0)]));
    }
}
