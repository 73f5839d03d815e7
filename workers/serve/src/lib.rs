//! The serve Worker: `GET /$.content/…` straight from the lake's tables.

use std::{cell::OnceCell, rc::Rc};

use firn_api::{
    access::identify,
    content::{
        answer::{Freshness, answer},
        conditional::evaluate,
        path::parse_request,
        read::{Route, ask_ledger},
    },
    http::{RequestHead, Response},
    ledger::LedgerPort,
    ports::Clock,
    problem::Problem,
    tables::{
        catalog::{CatalogConfig, RestCatalog, Transport},
        config::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX, LakeConfig, TableName},
        error::LakeError,
        held::HeldLake,
        pointers::{BucketPointers, ConfiguredPointers},
        read::{Hint, Lake, ReadCost, read_artifact},
    },
};
use firn_platform::{
    CatalogFetch, R2Read, Setting, Timer, WallClock, WebCrypto, call_ledger, has_ledgers, log_problem,
    read_head, send_response, token_rules,
};
use firn_types::{error::ErrorCode, key::Namespace};
use worker::{Context, Env, Request, Result, event};

/// The ledgers of the deployment.
struct Ledgers<'e>(&'e Env);

impl LedgerPort for Ledgers<'_> {
    async fn call(&self, ns: &Namespace, message: Vec<u8>) -> core::result::Result<Vec<u8>, String> {
        call_ledger(self.0, ns, message).await
    }
}

/// Where the tables are, by the environment.
struct LakeSettings {
    config: LakeConfig,
    /// `None`: pointer objects in the bucket.
    catalog: Option<CatalogConfig>,
}

thread_local! {
    /// What the environment says of the lake. It does not change while an isolate lives.
    static SETTINGS: OnceCell<core::result::Result<Rc<LakeSettings>, String>> = const { OnceCell::new() };
    /// Parsed objects and pointers of this isolate. No borrow of it is held across an await.
    static HELD: Rc<HeldLake> = Rc::default();
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<worker::Response> {
    let head = read_head(&request);
    let is_development = Setting(&env).is_development();
    if is_development && head.path == "/$.dev/forget" {
        HELD.with(|held| match head.query.as_str() {
            "held=1" => held.forget_all(),
            _ => held.forget_pointers(),
        });
        return worker::Response::empty();
    }
    let mut cost = ReadCost::default();
    let context = Rc::new(context);
    let whole = serve(&head, &env, &context, &mut cost).await;
    let sent = whole.and_then(|whole| evaluate(&head, whole, WallClock.now()));
    let response = sent.unwrap_or_else(|problem| {
        if problem.code.status() >= 500 {
            log_problem(&problem, &head);
        }
        problem.into_response(&head.request_id)
    });
    let response = if is_development { response.with("X-Firn-Cost", render_cost(cost)) } else { response };
    let response = if head.method == "HEAD" { response.without_body() } else { response };
    send_response(response, &head)
}

async fn serve(
    head: &RequestHead,
    env: &Env,
    context: &Rc<Context>,
    cost: &mut ReadCost,
) -> core::result::Result<Response, Problem> {
    let now = WallClock.now();
    let path = parse_request(head)?;
    let rules = token_rules(env, context).map_err(broken)?;
    let caller = identify(head, &rules, &WebCrypto, now).await?;
    let settings = SETTINGS
        .with(|settings| settings.get_or_init(|| lake_settings(env).map(Rc::new)).clone())
        .map_err(broken)?;
    let store = R2Read::open(env).map_err(|error| broken(error.to_string()))?;
    let isolate = HELD.with(Rc::clone);
    let pointers = match &settings.catalog {
        None => ConfiguredPointers::Bucket(BucketPointers),
        Some(config) => ConfiguredPointers::Catalog(RestCatalog::new(config, &isolate.catalog, CatalogFetch)),
    };
    let lake = Lake {
        store: &store,
        pointers: &pointers,
        platform: &Timer,
        held: &isolate,
        config: &settings.config,
    };
    let (mut route, mut unsent) = (None, None);
    // Without them the deployment reads tables that others write.
    let has_ledgers = has_ledgers(env) && Setting(env).text("FIRN_LEDGER").as_deref() != Some("off");
    if has_ledgers {
        match ask_ledger(&Ledgers(env), &path, caller.as_ref(), now).await? {
            Route::Row(row) => return answer(&path, Some(&row), caller.as_ref(), now, Freshness::default()),
            Route::Tables { beneath } => unsent = beneath,
            other => route = Some(other),
        }
    }
    let hint = match &route {
        Some(Route::At(place)) => Hint::At(place),
        Some(Route::NeverHeardOf) => Hint::NeverHeardOf,
        _ => Hint::Nothing,
    };
    let (found, spent) = read_artifact(&lake, &path.key, path.representation, hint, now).await;
    *cost = spent;
    let found = found.map_err(|error| LakeError::to_problem(&error))?;
    // A null version is the lowest, which `None` is to `Option`'s order.
    let row = [found, unsent].into_iter().flatten().max_by_key(|row| row.version);
    answer(&path, row.as_ref(), caller.as_ref(), now, Freshness::default())
}

fn lake_settings(env: &Env) -> core::result::Result<LakeSettings, String> {
    let setting = Setting(env);
    let tables = setting.text("FIRN_TABLES").ok_or("FIRN_TABLES is not set")?;
    let tables = TableName::parse_list(&tables).ok_or("FIRN_TABLES is not a list of namespace.table")?;
    let hold_secs = setting.number("FIRN_POINTER_HOLD_SECONDS", 5)?;
    let deadline_ms = setting.number("FIRN_LOOKUP_DEADLINE_MILLIS", DEADLINE_MS_DEFAULT)?;
    if !(1..=DEADLINE_MS_MAX).contains(&deadline_ms) {
        return Err(format!("FIRN_LOOKUP_DEADLINE_MILLIS is not between 1 and {DEADLINE_MS_MAX}"));
    }
    let config = LakeConfig {
        tables,
        pointer_hold_micros: i64::from(hold_secs) * 1_000_000,
        deadline_ms: u64::from(deadline_ms),
    };
    let catalog = setting.text("FIRN_CATALOG_URI").map(|uri| {
        let transport = if setting.is_development() { Transport::Any } else { Transport::Encrypted };
        let (warehouse, token) = (setting.text("FIRN_CATALOG_WAREHOUSE"), setting.text("FIRN_CATALOG_TOKEN"));
        CatalogConfig::new(&uri, warehouse, token, transport).ok_or("FIRN_CATALOG_URI is not an https URL")
    });
    Ok(LakeSettings { config, catalog: catalog.transpose()? })
}

fn render_cost(cost: ReadCost) -> String {
    format!("reads={}; waves={}; bytes={}", cost.reads, cost.waves, cost.len_bytes)
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
