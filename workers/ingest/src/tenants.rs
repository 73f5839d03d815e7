//! What the deployment knows of its namespaces: their configuration, and where their records go.

use firn_api::{ingest::answer::Destination, problem::Problem, tenancy::Tenancy};
use firn_platform::{Setting, tenant_config};
use firn_types::{error::ErrorCode, key::Namespace, mode::Mode, tenant::TenantConfig};
use worker::Env;

/// The namespaces of the deployment.
pub(crate) struct Tenants<'e>(pub(crate) &'e Env);

impl Tenancy for Tenants<'_> {
    async fn config(&self, ns: &Namespace) -> Result<TenantConfig, Problem> {
        tenant_config(self.0, ns).await.map(|config| config.as_ref().clone())
    }

    fn destination(&self, mode: Mode) -> Result<Destination, Problem> {
        let name = format!("FIRN_FLUSH_SECONDS_{}", mode.as_str().to_ascii_uppercase());
        // Pipelines rolls files every 300 s unless the sink was made otherwise.
        let flush_secs = Setting(self.0).number(&name, 300).map_err(broken)?;
        Ok(Destination { mode, pipeline: format!("artifacts_{}", mode.as_str()), flush_secs })
    }
}

fn broken(cause: String) -> Problem {
    Problem::new(ErrorCode::ConfigurationInvalid, "the deployment's configuration is not valid")
        .because(cause)
}
