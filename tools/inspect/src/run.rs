//! Asks a table and prints the answer.

use std::{io::Write, sync::Arc, time::Duration};

use firn_iceberg::{
    schema::{NestedField, PrimitiveType, Schema},
    value::{Literal, Value},
};
use firn_lookup::{
    need::Need,
    table::{
        Outcome, Row,
        location::LocationMap,
        query::{SnapshotChoice, TableQuery},
        scan::ScannedRow,
    },
};
use firn_s3::{
    Clock, S3Read,
    config::{Endpoint, REGION_DEFAULT, S3Config, S3Credentials},
};
use firn_store::read::ObjectRead;
use firn_types::object::ObjectKey;
use futures::executor::block_on;

use crate::{
    args::{Args, Command, Question},
    drive::{look_up, scan_rows},
    error::InspectError,
    key::parse_key,
    location::location_map,
    plan::{Listed, Plan},
    render::RowJson,
    stores::Stores,
    table::{Table, read_table},
    trace::{Cost, Keep, Trace},
};

/// The longest that one read of a store may take: a row group's worth of pages over a slow line.
const READ_TIMEOUT_SECONDS: u64 = 60;

/// The column that decides between rows of one key where none is named: that of Firn's own tables.
const VERSION_COLUMN: &str = "version";

/// Whether there was something to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Given,
    Absent,
}

/// Does what the command line asks. `environment` gives variables, by their names.
pub(crate) fn run(
    args: &Args,
    environment: fn(&str) -> Option<String>,
    clock: Clock,
    out: &mut impl Write,
) -> Result<Answer, InspectError> {
    let (Command::Get(question) | Command::Plan(question) | Command::Scan(question)) = &args.command;
    let locations = location_map(&question.map)?;
    let stores = Stores::new(S3Read::new(s3_config(question, environment, clock)?));
    let keep = if matches!(args.command, Command::Plan(_)) { Keep::Requests } else { Keep::Cost };
    let trace = Trace::new(stores, keep);
    let answer = block_on(async {
        let table = read_table(&trace, &question.table, &locations).await?;
        let asked = Asked::new(question, table, locations)?;
        match &args.command {
            Command::Get(_) if asked.query.key.is_empty() => {
                Err(InspectError::Missing("get needs --key; scan prints every row"))
            }
            Command::Get(_) => get(&trace, &asked, out).await,
            Command::Plan(_) => plan(&trace, &asked, out).await,
            Command::Scan(_) => scan(&trace, &asked, out).await,
        }
    });
    if question.stats {
        let Cost { requests, waves, len_bytes } = trace.cost();
        eprintln!("{{\"requests\":{requests},\"waves\":{waves},\"bytes\":{len_bytes}}}");
    }
    answer
}

fn s3_config(
    question: &Question,
    environment: fn(&str) -> Option<String>,
    clock: Clock,
) -> Result<S3Config, InspectError> {
    let of = |argument: &Option<String>, names: [&str; 2]| {
        argument.clone().or_else(|| names.iter().find_map(|name| environment(name)))
    };
    let region = of(&question.region, ["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let region = region.unwrap_or_else(|| REGION_DEFAULT.to_owned());
    let endpoint = match of(&question.endpoint, ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]) {
        Some(url) => Endpoint::parse(&url)?,
        None => Endpoint::of_aws(&region)?,
    };
    let keys = (environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"));
    let credentials = match keys {
        (Some(access_key_id), Some(secret_access_key)) => Some(S3Credentials {
            access_key_id,
            secret_access_key,
            session_token: environment("AWS_SESSION_TOKEN"),
        }),
        _ => None,
    };
    let timeout = Duration::from_secs(READ_TIMEOUT_SECONDS);
    Ok(S3Config { endpoint, bucket: None, region, credentials, timeout, clock })
}

/// A question whose columns were found.
struct Asked {
    table: ObjectKey,
    /// Everything that is printed is a target column, read of the row that wins alone.
    query: TableQuery,
    columns: Vec<NestedField>,
}

impl Asked {
    fn new(question: &Question, table: Table, locations: LocationMap) -> Result<Self, InspectError> {
        let Table { object, metadata } = table;
        let snapshot = question.snapshot.map_or(SnapshotChoice::Current, SnapshotChoice::Id);
        // A snapshot that is not there is reported by the lookup.
        let of_snapshot = question.snapshot.and_then(|id| metadata.snapshot(id));
        let schema = Arc::clone(
            of_snapshot.map_or(metadata.current_schema(), |snapshot| metadata.schema_of(snapshot)),
        );
        let columns = columns(&question.column, &schema)?;
        let query = TableQuery {
            snapshot,
            key: parse_key(&question.key, &schema)?,
            version: version_column(question.version_column.as_deref(), &schema)?,
            columns: Vec::new(),
            target: columns.iter().map(|column| column.id).collect(),
            locations,
            metadata,
        };
        Ok(Self { table: object, query, columns })
    }

    /// The query of a scan: the key's columns come first, so that rows can be told by them.
    fn scan_query(&self) -> TableQuery {
        TableQuery { columns: self.query.key.iter().map(|(id, _)| *id).collect(), ..self.query.clone() }
    }

    /// The values to print of a row of [`Self::scan_query`]; `None` if it has another key.
    fn printed<'a>(&self, row: &'a ScannedRow) -> Option<&'a [Option<Value>]> {
        let (of_key, printed) = row.values.split_at_checked(self.query.key.len())?;
        let is_same = |(value, (_, wanted)): (&Option<Value>, &(i32, Literal))| {
            value.as_ref().and_then(Value::as_literal).is_some_and(|literal| literal.is_same(wanted))
        };
        of_key.iter().zip(&self.query.key).all(is_same).then_some(printed)
    }
}

/// The columns named, in the order of the names; all, where none is.
fn columns(names: &[String], schema: &Schema) -> Result<Vec<NestedField>, InspectError> {
    if names.is_empty() {
        return Ok(schema.fields.clone());
    }
    let find = |name: &String| {
        let missing = InspectError::Column { name: name.clone(), problem: "is not in the schema" };
        schema.column_named(name).cloned().ok_or(missing)
    };
    names.iter().map(find).collect()
}

fn version_column(name: Option<&str>, schema: &Schema) -> Result<Option<i32>, InspectError> {
    let column = schema.column_named(name.unwrap_or(VERSION_COLUMN));
    let is_number = |column: &&NestedField| {
        matches!(column.ty.as_primitive(), Some(PrimitiveType::Int | PrimitiveType::Long))
    };
    match (name, column.filter(is_number)) {
        (Some(name), None) => Err(InspectError::Column {
            name: name.to_owned(),
            problem: "is no int or long column of the schema",
        }),
        (_, column) => Ok(column.map(|column| column.id)),
    }
}

async fn get(
    store: &Trace<impl ObjectRead>,
    asked: &Asked,
    out: &mut impl Write,
) -> Result<Answer, InspectError> {
    match look_up(store, asked.query.clone(), &mut Listed::default(), |_| ()).await? {
        Outcome::Absent => Ok(Answer::Absent),
        Outcome::Found(Row { target, .. }) => {
            print(&asked.columns, &target, out)?;
            Ok(Answer::Given)
        }
    }
}

async fn scan(
    store: &Trace<impl ObjectRead>,
    asked: &Asked,
    out: &mut impl Write,
) -> Result<Answer, InspectError> {
    let print_rows = |rows: Vec<ScannedRow>| {
        let mut lines = rows.iter().filter_map(|row| asked.printed(row));
        lines.try_for_each(|values| print(&asked.columns, values, out))
    };
    scan_rows(store, asked.scan_query(), &mut Listed::default(), |_| (), print_rows).await?;
    Ok(Answer::Given)
}

async fn plan(
    store: &Trace<impl ObjectRead>,
    asked: &Asked,
    out: &mut impl Write,
) -> Result<Answer, InspectError> {
    let mut plan = Plan::new(&asked.table, &asked.query, store.take_requests(), store.cost());
    let mut listed = Listed::default();
    let add_wave = |needs: &[Need]| plan.add_wave(needs, &store.take_requests());
    let outcome = if asked.query.key.is_empty() {
        let mut row_count = 0;
        let count = |rows: Vec<ScannedRow>| {
            row_count += rows.len();
            Ok(())
        };
        scan_rows(store, asked.scan_query(), &mut listed, add_wave, count).await?;
        format!("{row_count} rows")
    } else {
        match look_up(store, asked.query.clone(), &mut listed, add_wave).await? {
            Outcome::Absent => "absent".to_owned(),
            Outcome::Found(Row { location, .. }) => {
                format!("row {} of {}", location.position, location.object)
            }
        }
    };
    plan.write(&listed, &outcome, store.cost(), out).map_err(InspectError::Output)?;
    Ok(Answer::Given)
}

fn print(
    columns: &[NestedField],
    values: &[Option<Value>],
    out: &mut impl Write,
) -> Result<(), InspectError> {
    let row = RowJson { columns, values };
    serde_json::to_writer(&mut *out, &row).map_err(|error| InspectError::Output(error.into()))?;
    out.write_all(b"\n").map_err(InspectError::Output)
}
