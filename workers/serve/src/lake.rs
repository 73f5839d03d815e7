//! The lake of the deployment: its settings, and what an isolate holds of it.

use std::rc::Rc;

use firn_api::tables::{
    catalog::{CatalogConfig, Transport},
    config::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX, LakeConfig, TableName},
    held::{HELD_LEN_BYTES_MAX, HeldLake},
};
use firn_platform::Setting;
use worker::Env;

/// Where the tables are, by the environment.
#[derive(Debug)]
pub(crate) struct LakeSettings {
    pub(crate) config: LakeConfig,
    /// `None`: pointer objects in the bucket.
    pub(crate) catalog: Option<CatalogConfig>,
}

thread_local! {
    /// Parsed objects and pointers of this isolate. No borrow of it is held across an await.
    pub(crate) static HELD: Rc<HeldLake> = Rc::default();
}

/// The settings of the lake.
///
/// # Errors
/// The one that is broken; for the log.
pub(crate) fn read_lake_settings(env: &Env) -> Result<LakeSettings, String> {
    let setting = Setting(env);
    let tables = setting.text("FIRN_TABLES").ok_or("FIRN_TABLES is not set")?;
    let tables = TableName::parse_list(&tables).ok_or("FIRN_TABLES is not a list of namespace.table")?;
    let hold_secs = setting.number("FIRN_POINTER_HOLD_SECONDS", 5)?;
    let deadline_ms = setting.number("FIRN_LOOKUP_DEADLINE_MILLIS", DEADLINE_MS_DEFAULT)?;
    if !(1..=DEADLINE_MS_MAX).contains(&deadline_ms) {
        return Err(format!("FIRN_LOOKUP_DEADLINE_MILLIS is not between 1 and {DEADLINE_MS_MAX}"));
    }
    let default = u32::try_from(HELD_LEN_BYTES_MAX).unwrap_or(u32::MAX);
    let held_len_bytes = setting.number("FIRN_CACHE_LEN_BYTES", default)?;
    HELD.with(|held| held.set_budget(held_len_bytes.into()));
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
