//! Thumbnail parameters: equal asks share a name, and a name says all that was asked.

use matrix_media_edge::matrix::thumbnail::ThumbnailSpec;
use matrix_media_edge::message::target::Target;
use url::form_urlencoded;

/// The input is a query.
pub(crate) fn target(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let spec = read(query);
    assert_eq!(read(&format!("{query}&timeout_ms=5")), spec, "whatever else is asked");
    // Homeservers separate at `;` too, other readers of forms don't; nor do fragments go on a wire.
    if !query.contains([';', '#', '\u{fffd}']) {
        assert_eq!(spec.map(|spec| spec.to_string()), expected_name(query));
    }
    let Some(spec) = spec else { return };
    assert_eq!(read(&query_of(&spec.to_string())), Some(spec), "the name says all");
    assert_eq!(spec.to_query(), query_of(&spec.to_string()), "it is asked in one spelling");
    let asked = Target::new(&format!("/?{query}"));
    let is_alike =
        |again: &str| Target::new(&format!("/?{query}{again}")).query().has_one_reading();
    assert!(!is_alike("&width=1") && !is_alike("&height=1;x=2"), "two readings are no reading");
    if asked.query().has_one_reading() && !query.contains('#') {
        let mut names: Vec<_> = pairs(query).into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{query}");
        assert!(!query.contains(';'));
    }
}

fn read(query: &str) -> Option<ThumbnailSpec> {
    ThumbnailSpec::parse(Target::new(&format!("/?{query}")).query())
}

fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// By the URL standard's reading of forms.
fn expected_name(query: &str) -> Option<String> {
    let pairs = pairs(query);
    let first = |wanted| pairs.iter().find(|(name, _)| name == wanted).map(|(_, v)| v.as_str());
    let dimension = |name| {
        let digits = first(name)?;
        let is_plain =
            (1..=5).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
        is_plain.then(|| digits.parse::<u32>().expect("five digits"))
    };
    let method = match first("method") {
        None => "",
        Some("scale") => "-scale",
        Some("crop") => "-crop",
        Some(_) => return None,
    };
    let animated = match first("animated") {
        None => "",
        Some("true") => "-animated",
        Some("false") => "-still",
        Some(_) => return None,
    };
    Some(format!("{}x{}{method}{animated}", dimension("width")?, dimension("height")?))
}

/// The query that a name stands for.
fn query_of(name: &str) -> String {
    let mut parts = name.split('-');
    let (width, height) = parts.next().and_then(|size| size.split_once('x')).expect("a size");
    let rest = parts.map(|part| match part {
        "animated" => "&animated=true".to_owned(),
        "still" => "&animated=false".to_owned(),
        method => format!("&method={method}"),
    });
    format!("width={width}&height={height}{}", rest.collect::<String>())
}
