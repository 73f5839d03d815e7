//! Which streams there are: `FIRN_STREAMS` is `name=flush seconds` for each, separated by commas.

use firn_lake::commit::TableConfig;
use firn_platform::Setting;
use worker::Env;

/// The catalog's namespace of all local tables.
pub(crate) const NAMESPACE: &str = "firn";

/// The bucket's name, as it stands in locations.
pub(crate) const BUCKET: &str = "firn-lake";

/// Seconds between a stream's first waiting row and its flush, where the setting does not say.
const FLUSH_SECS_DEFAULT: u32 = 30;

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamConfig {
    /// Its name, which is also its table's.
    pub(crate) name: String,
    /// Seconds between the first waiting row and the flush.
    pub(crate) flush_secs: u32,
}

/// The streams of the deployment.
pub(crate) fn configured_streams(env: &Env) -> Vec<StreamConfig> {
    let text = Setting(env).text("FIRN_STREAMS").unwrap_or_default();
    let parse = |entry: &str| {
        let (name, secs) = entry.split_once('=').unwrap_or((entry, ""));
        StreamConfig {
            name: name.trim().to_owned(),
            flush_secs: secs.trim().parse().unwrap_or(FLUSH_SECS_DEFAULT),
        }
    };
    text.split(',').filter(|entry| !entry.trim().is_empty()).map(parse).collect()
}

/// Where a stream's table lies.
pub(crate) fn table_config(stream: &str) -> TableConfig {
    TableConfig {
        root: format!("s3://{BUCKET}"),
        prefix: format!("__r2_data_catalog/local/{stream}"),
        namespace: NAMESPACE.to_owned(),
        name: stream.to_owned(),
    }
}
