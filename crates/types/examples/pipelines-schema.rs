//! Prints the Pipelines stream schema; `scripts/build` keeps `workers/lake/pipelines-schema.json` equal to it.

fn main() {
    print!("{}", firn_types::schema::pipelines_schema_json());
}
