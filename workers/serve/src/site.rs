//! What an isolate knows of its deployment: bindings and settings, read once. None of them changes while an isolate lives,
//! and every one costs two calls into JavaScript.

use std::{cell::OnceCell, rc::Rc};

use firn_api::cors::terms_of_origins;
use firn_platform::{EdgeCopies, Objects, R2Read, Setting};
use firn_types::tenant::TenantConfig;
use worker::Env;

use crate::{
    development,
    guarded::Ledgers,
    lake::{LakeSettings, read_lake_settings},
};

/// Host name of copies where none is configured. Copies under it end by their time alone: no zone's purge knows it.
const HOST_DEFAULT: &str = "firn.internal";

thread_local! {
    static SITE: OnceCell<Rc<Site>> = const { OnceCell::new() };
}

/// Bindings and settings.
#[derive(Debug)]
pub(crate) struct Site {
    /// Whether this is the development origin.
    pub(crate) is_development: bool,
    /// The environment, for what is read seldom.
    pub(crate) env: Env,
    /// The terms of requests that belong to no namespace.
    pub(crate) open_terms: Rc<TenantConfig>,
    /// What a read needs besides; what is wrong with it, for the log.
    pub(crate) lake: Result<Rc<LakeSite>, String>,
    host: String,
}

/// Where artifacts are read from.
#[derive(Debug)]
pub(crate) struct LakeSite {
    pub(crate) settings: LakeSettings,
    pub(crate) bucket: R2Read,
    /// `None`: the deployment reads tables that others write.
    pub(crate) ledgers: Option<Ledgers>,
}

impl Site {
    /// The deployment that an environment describes.
    pub(crate) fn of(env: Env) -> Rc<Self> {
        SITE.with(|site| Rc::clone(site.get_or_init(|| Rc::new(Self::read(env)))))
    }

    fn read(env: Env) -> Self {
        let setting = Setting(&env);
        let origins = setting.text("FIRN_CORS_ORIGINS").unwrap_or_default();
        Self {
            is_development: setting.is_development(),
            open_terms: Rc::new(terms_of_origins(&origins)),
            lake: LakeSite::read(&env).map(Rc::new),
            host: setting.text("FIRN_HOST").unwrap_or_else(|| HOST_DEFAULT.to_owned()),
            env,
        }
    }

    /// The edge cache under the deployment's host name.
    pub(crate) fn edge(&self) -> EdgeCopies {
        EdgeCopies::new(&development::host(&self.host))
    }
}

impl LakeSite {
    fn read(env: &Env) -> Result<Self, String> {
        let settings = read_lake_settings(env)?;
        let is_off = Setting(env).text("FIRN_LEDGER").as_deref() == Some("off");
        let ledgers = Objects::ledgers(env).filter(|_| !is_off).map(Ledgers);
        Ok(Self { settings, bucket: R2Read::open(env)?, ledgers })
    }
}
