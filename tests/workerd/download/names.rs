//! File names. One stored copy serves every name that a path can give, and none; what the client
//! is told is always a well-formed field of ASCII (RFC 6266, RFC 8187).

use test_support::http::Answer;

use crate::support::origin::{MEDIA_HEADERS, Media, Reply};
use crate::support::world::{
    BODY, World, download, download_path, legacy_download, legacy_path, media_domain, shared,
};

fn named(world: &World, id: &str, name: &str) -> Answer {
    let path = format!("{}/{name}", download_path(id));
    let answer = media_domain("GET", path).bearer(&world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{name}: {}", answer.text());
    answer
}

fn disposition(answer: &Answer) -> &str {
    answer.header("content-disposition").expect("there is a disposition")
}

#[test]
fn every_name_is_written_so_that_it_can_be_read() {
    let world = shared();
    let id = world.stored_media();
    let long = "n".repeat(2000);
    for (name, parameter) in [
        ("cat.png", "filename=cat.png"),
        ("a-b_c~d!.tar.gz", "filename=a-b_c~d!.tar.gz"),
        ("%63at.png", "filename=cat.png"),
        ("two%20words", "filename*=utf-8''two%20words"),
        ("plus+plus", "filename=plus+plus"),
        ("caf%C3%A9.png", "filename*=utf-8''caf%C3%A9.png"),
        ("%E7%8C%AB%F0%9F%90%88", "filename*=utf-8''%E7%8C%AB%F0%9F%90%88"),
        ("a%22b", "filename*=utf-8''a%22b"),
        ("a%22;%20filename=evil.exe", "filename*=utf-8''a%22%3B%20filename%3Devil.exe"),
        ("a;b", "filename*=utf-8''a%3Bb"),
        ("a'b", "filename*=utf-8''a%27b"),
        ("a*b", "filename*=utf-8''a%2Ab"),
        ("100%25", "filename*=utf-8''100%25"),
        ("a%2", "filename*=utf-8''a%252"),
        ("%zz", "filename*=utf-8''%25zz"),
        ("a%2Fb", "filename*=utf-8''a%2Fb"),
        ("%2E%2E%2F%2E%2E%2Fetc", "filename*=utf-8''..%2F..%2Fetc"),
        ("a%5Cb", "filename*=utf-8''a%5Cb"),
        ("a%0D%0ASet-Cookie:%20x=y", "filename*=utf-8''a%0D%0ASet-Cookie%3A%20x%3Dy"),
        ("%00%01%1F%7F", "filename*=utf-8''%00%01%1F%7F"),
        ("%E2%80%AEgpj.exe", "filename*=utf-8''%E2%80%AEgpj.exe"),
        ("a,b", "filename*=utf-8''a%2Cb"),
        ("%3Cscript%3E", "filename*=utf-8''%3Cscript%3E"),
        (&long, &format!("filename={long}")),
    ] {
        let answer = named(world, &id, name);
        assert_eq!(disposition(&answer), format!("inline; {parameter}"));
        assert_eq!(answer.headers.all("content-disposition").count(), 1);
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn every_name_is_served_from_one_stored_copy() {
    let world = shared();
    let id = world.legacy_media();
    world.store(&id);
    for path in [
        format!("{}/cat.png", download_path(&id)),
        format!("{}/%E7%8C%AB", download_path(&id)),
        format!("{}/", download_path(&id)),
        format!("{}/cat.png", legacy_path(&id)),
        format!("/_matrix/media/r0/download/example.com/{id}/dog.png"),
        format!("/_matrix/media/v1/download/example.com/{id}/dog.png"),
    ] {
        for path in [&download_path(&id), &legacy_path(&id), &path] {
            world.origin.forget(path);
        }
        let answer = media_domain("GET", &path).bearer(&world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{path}");
        // The name is the edge's business, and the origin is asked without it.
        let unnamed = path.rsplit_once('/').expect("a path").0;
        let asked = world.origin.asked_once(unnamed);
        assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
        world.origin.forget(unnamed);
    }
}

#[test]
fn a_named_miss_stores_what_the_unnamed_request_gets() {
    let world = shared();
    let media = Media { file_name: Some("own.png".to_owned()), ..Media::new("image/png", BODY) };
    let id = world.origin.homeserver().add(media);
    let answer = named(world, &id, "other.png");
    assert_eq!(disposition(&answer), "inline; filename=other.png");
    world.store(&id);
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!(disposition(&answer), "inline; filename=own.png");
}

#[test]
fn an_empty_name_is_ignored() {
    let world = shared();
    let media = Media { file_name: Some("own.png".to_owned()), ..Media::new("image/png", BODY) };
    let id = world.origin.homeserver().add(media);
    for _ in 0..2 {
        assert_eq!(disposition(&named(world, &id, "")), "inline; filename=own.png");
        world.store(&id);
    }
}

#[test]
fn an_attachment_never_becomes_inline_by_its_name() {
    let world = shared();
    for (i, (of_origin, kind)) in [
        (Some("inline"), "inline"),
        (Some("INLINE; filename=x"), "inline"),
        (Some("attachment"), "attachment"),
        (Some("attachment; filename=\"inline\""), "attachment"),
        (Some("inlined"), "attachment"),
        (Some(""), "attachment"),
        (None, "attachment"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("disposed{i}");
        // By a tag that no proxy takes away it is known without a name.
        let plain = MEDIA_HEADERS.iter().filter(|(name, _)| *name != "ETag");
        let reply = plain.fold(Reply::new(200), |reply, (name, value)| reply.header(name, value));
        let reply = reply.header("Content-Type", "image/png").header("ETag", "\"1\"");
        let reply = match of_origin {
            Some(field) => reply.header("Content-Disposition", field),
            None => reply,
        };
        world.origin.on(&download_path(&id), move |call| {
            let is_known = call.head.headers.get("if-none-match").is_some();
            if is_known {
                call.reply(&Reply::new(304))
            } else {
                call.reply(&reply.clone().body(BODY))
            }
        });
        // Once from the origin, once from the store.
        for _ in 0..2 {
            let answer = named(world, &id, "page.html");
            assert_eq!(
                disposition(&answer),
                format!("{kind}; filename=page.html"),
                "{of_origin:?}"
            );
            world.store(&id);
        }
    }
}

#[test]
fn a_name_that_is_no_text_is_forwarded_or_refused() {
    let world = shared();
    let id = world.stored_media();
    for name in ["%FF", "a%C3", "%ED%A0%80", "a/b"] {
        let path = format!("{}/{name}", download_path(&id));
        let request = media_domain("GET", &path).bearer(&world.token());
        let answer = request.send(&world.edge.direct_address);
        if answer.status == 400 {
            // Bytes that the runtime would not pass on as they are.
            assert_eq!(answer.errcode(), "M_INVALID_PARAM", "{name}");
        } else {
            let asked = world.origin.asked_once(&path);
            assert_eq!(asked.header("if-none-match"), None, "{name}");
        }
    }
    assert_eq!(legacy_download(&id).send(&world.edge.address).status, 404);
}
