//! Many representations in one answer.

use firn_types::visibility::Visibility;
use serde_json::{Value, json};

use crate::world::{Got, World};

fn post(world: &World, items: &Value) -> (Got, Value) {
    let headers = [("content-type", "application/json; charset=utf-8")];
    let got = world.send("POST", "/$.content", &headers, &json!({ "items": items }).to_string());
    let body = serde_json::from_str(&got.body).unwrap();
    (got, body)
}

fn item(id: &str, ext: &str) -> Value {
    json!({"ns": "app.do", "type": "page", "id": id, "ext": ext})
}

#[test]
fn each_item_has_its_own_status_in_the_order_asked() {
    let world = World::new();
    let version = world.publish("home", Visibility::Public, "quote \\\"");
    world.publish("team", Visibility::Org, "secret");
    world.publish_with("old", Visibility::Public, "", "build", true);
    let items = json!([
        item("home", "html"),
        item("team", "html"),
        item("home", "md"),
        item("old", "html"),
        item("home", "exe"),
        item("a//b", "html"),
        item("home", "html"),
    ]);
    let (got, body) = post(&world, &items);
    assert_eq!((got.status, got.header("cache-control")), (200, "private, no-store"));
    let statuses: Vec<_> = body["items"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, [200, 404, 404, 410, 400, 400, 200]);
    let first = &body["items"][0];
    assert_eq!((&first["body"], &first["id"]), (&json!("quote \""), &json!("home")));
    assert_eq!(first["version"], version.to_string());
    assert_eq!(first["etag"], format!("\"{version}.html\""));
    assert_eq!(first["contentType"], "text/html; charset=utf-8");
    assert_eq!(body["items"][1]["code"], "not_found");
    assert_eq!(body["requestId"], "r1");
    assert!(!got.body.contains("secret"));
}

#[test]
fn rights_are_the_callers() {
    let world = World::new();
    world.publish("team", Visibility::Org, "t1");
    let body = json!({"items": [item("team", "html")]}).to_string();
    let headers = [("content-type", "application/json"), ("authorization", "o")];
    let got = world.send("POST", "/$.content", &headers, &body);
    let answer: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(answer["items"][0]["body"], "t1");
    assert_eq!(world.copy_count(), 0);
}

#[test]
fn what_is_no_batch_is_refused_and_says_why() {
    let world = World::new();
    let many: Vec<Value> = (0..101).map(|_| item("home", "html")).collect();
    let (got, body) = post(&world, &json!(many));
    assert_eq!((got.status, &body["code"], &body["limit"]), (400, &json!("invalid_batch"), &json!(100)));
    for body in ["", "[]", "{}", r#"{"items":[{"ns":"a"}]}"#, r#"{"items":[],"more":1}"#, "{\"items\":"] {
        let got = world.send("POST", "/$.content", &[("content-type", "application/json")], body);
        assert_eq!(got.status, 400, "{body}");
    }
    assert_eq!(world.send("POST", "/$.content", &[], "{}").status, 415);
    assert_eq!(world.send("GET", "/$.content", &[], "").header("allow"), "POST, OPTIONS");
    assert_eq!(post(&world, &json!([])).1["items"], json!([]));
}

#[test]
fn one_answer_holds_so_much_and_says_what_it_left_out() {
    let world = World::new();
    let large = "x".repeat(1_500_000);
    for nth in 0..10 {
        world.publish(&format!("p{nth}"), Visibility::Public, &large);
    }
    let items: Vec<Value> = (0..10).map(|nth| item(&format!("p{nth}"), "html")).collect();
    let (_, body) = post(&world, &json!(items));
    let statuses: Vec<_> = body["items"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 413, 413]);
    assert_eq!(body["items"][8]["code"], "body_too_large");
}
