//! What each path answers, to whom, and what of it the page shows.

use std::sync::atomic::Ordering;

use crate::{CAUSE, FATAL, body, json, server, status_of};

#[tokio::test]
async fn every_path_answers_with_the_headers_that_guard_it() {
    let server = server().await;
    for (path, code, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        (
            &format!("/episodes/{FATAL}"),
            200,
            "text/html; charset=utf-8",
        ),
        ("/episodes/none", 404, "text/html; charset=utf-8"),
        ("/assets/page.css", 200, "text/css; charset=utf-8"),
        ("/assets/page.js", 200, "text/javascript; charset=utf-8"),
        ("/assets/..%2Fmod.rs", 404, "application/json"),
        ("/docs/", 200, "text/html; charset=utf-8"),
        ("/docs/runbook", 200, "text/html; charset=utf-8"),
        ("/docs/..%2FREADME", 404, "text/html; charset=utf-8"),
        (
            "/docs/..%2F..%2Fetc%2Fpasswd",
            404,
            "text/html; charset=utf-8",
        ),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/-/healthy", 200, "text/plain; charset=utf-8"),
        ("/-/ready", 200, "text/plain; charset=utf-8"),
        ("/api/v1/status", 200, "application/json"),
        ("/api/v1/report", 200, "application/json"),
        ("/api/v1/episodes", 200, "application/json"),
        (
            &format!("/api/v1/episodes/{FATAL}"),
            200,
            "application/json",
        ),
        (
            "/api/v1/episodes/d5e0c63aed3-24616",
            404,
            "application/json",
        ),
        ("/api/v1/episodes?verdict=bad", 400, "application/json"),
        ("/api/v1/episodes?limit=-1", 400, "application/json"),
        ("/api/v1/denials", 200, "application/json"),
        ("/api/v1/supervisors", 200, "application/json"),
        ("/nothing", 404, "application/json"),
    ] {
        let answer = server.get(path).await;
        let head = answer.split_once("\r\n\r\n").unwrap().0.to_lowercase();
        assert_eq!(status_of(&answer), code, "{path}: {head}");
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{path}: {head}"
        );
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-",
        ] {
            assert!(head.contains(header), "{path} lacks {header}: {head}");
        }
        assert!(!head.contains("access-control"), "{path}: {head}");
    }
}

#[tokio::test]
async fn other_methods_and_foreign_names_are_refused() {
    let server = server().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = server.ask(method, "/api/v1/status", "127.0.0.1").await;
        assert_eq!(status_of(&answer), 405, "{method}");
        assert!(
            answer.to_lowercase().contains("\r\nallow: get, head\r\n"),
            "{answer}"
        );
    }
    let answer = server.ask("HEAD", "/metrics", "127.0.0.1").await;
    assert_eq!((status_of(&answer), body(&answer)), (200, ""));
    for path in ["/", "/metrics", "/api/v1/report", "/nothing"] {
        let answer = server
            .ask("GET", path, "rebound.attacker.example:11400")
            .await;
        assert_eq!(status_of(&answer), 421, "{path}");
        let answer = server.ask("GET", path, "localhost:11400").await;
        assert_ne!(status_of(&answer), 421, "{path}");
    }
    let absolute =
        "GET http://attacker.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&server.raw(absolute.to_owned()).await), 421);
    let without = "GET /-/healthy HTTP/1.0\r\n\r\n";
    assert_eq!(status_of(&server.raw(without.to_owned()).await), 200);
}

#[tokio::test]
async fn the_sandbox_is_shown_with_what_it_lacks() {
    let server = server().await;
    let answer = server.get("/api/v1/status").await;
    let status: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(status["sandbox"]["mode"], "auto");
    assert_eq!(status["sandbox"]["state"], "partial");
    assert_eq!(status["sandbox"]["lapses"][0]["part"], "landlock");
    let page = server.get("/").await;
    let sandbox = page.split_once("id=\"sandbox\">").unwrap().1;
    let sandbox = sandbox.split_once("</p>").unwrap().0;
    for word in ["partial", "landlock", "lsm= does not list it", "boot with"] {
        assert!(sandbox.contains(word), "{word}: {sandbox}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_cut() {
    let server = server().await;
    let fatal = json(
        &server
            .get("/api/v1/episodes?verdict=fatal&supervisor=openshell&layer=commoncap")
            .await,
    );
    let episodes = fatal["episodes"].as_array().unwrap();
    assert!(!episodes.is_empty());
    assert!(
        episodes
            .iter()
            .all(|one| one["verdict"] == "fatal" && one["time"].is_string())
    );
    let last = json(&server.get("/api/v1/episodes?limit=2").await);
    assert_eq!(last["episodes"].as_array().unwrap().len(), 2);
    let ids = [0, 1].map(|index| last["episodes"][index]["id"].as_str().unwrap());
    assert_eq!(ids, [FATAL, "d5e1ee14fe3-24654"]);
    let none = json(&server.get("/api/v1/episodes?layer=none&limit=1").await);
    assert!(none["episodes"][0]["layer"].is_null());
    let denials = json(
        &server
            .get("/api/v1/denials?layer=commoncap&role=workload")
            .await,
    );
    assert!(
        denials["denials"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["reason"] == "not_effective")
    );

    let supervisors = json(&server.get("/api/v1/supervisors").await);
    let worst = &supervisors["groups"][0];
    assert_eq!(worst["supervisor"], "openshell");
    assert_eq!(worst["refused_by"][0]["layer"], "commoncap");
    assert_eq!(worst["last"]["id"], FATAL);
    let status = json(&server.get("/api/v1/status").await);
    assert_eq!(status["findings"]["level"], "fatal");
    assert_eq!(
        status["findings"]["title"],
        "openshell sha256:77b4c3956c13 exited after a refused drop"
    );
    let detail = status["findings"]["detail"].as_str().unwrap();
    for part in [
        "1 fatal, 2 degraded, 1 pending",
        "1 failure in workloads.",
        "1 failure in unknown processes.",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let groups = supervisors["groups"].as_array().unwrap();
    let inferred = groups.iter().filter(|group| group["inferred"] == true);
    assert_eq!(inferred.count(), 2, "what no rule names");
    assert_eq!(groups.last().unwrap()["supervisor"], "none");
    assert_eq!(status["uptime_seconds"], 90.0);
}

#[tokio::test]
async fn the_page_holds_the_essentials_and_no_foreign_markup() {
    let server = server().await;
    server.view.misses_a_hook.store(true, Ordering::Relaxed);
    let page = server.get("/").await;
    for part in [
        "<title>capwatch on page.jsonl</title>",
        "<b><bdi>page.jsonl</bdi></b>",
        "href=\"/docs/runbook\"",
        "openshell sha256:77b4c3956c13 exited after a refused drop",
        "<code>aa_capable</code>",
        "auditd takes the records",
        &format!("href=\"/episodes/{FATAL}\""),
        "&lt;img src=x oner",
        "<rect class=\"fatal\"",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    for markup in [
        "<img",
        "style=",
        "onerror=\"",
        " onclick",
        "javascript:",
        "\u{202e}",
        "\u{1b}",
        "http://",
        "https://",
    ] {
        assert!(!body(&page).contains(markup), "{markup} is in the page");
    }
    let episode = server.get(&format!("/episodes/{FATAL}")).await;
    // Who stood above it, and what was not the cause.
    for words in ["the kernel (commoncap) refused", "24607</bdi>", CAUSE] {
        assert!(episode.contains(words), "{words}: {episode}");
    }
    let itself = episode.matches("openshell-sandb 24615</bdi>").count();
    assert_eq!(itself, 1, "the process itself, once");
    let episode = server.get("/episodes/d5dfa660070-24606").await;
    assert!(episode.contains("&lt;img src=x oner 24605</bdi>"));
    assert!(!episode.contains("<img"), "a name of the chain is markup");
}
