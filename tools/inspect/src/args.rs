//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Reads an Iceberg table: one row, the plan of a lookup, every live row.
#[derive(Debug, Parser)]
#[command(
    name = "inspect",
    after_help = "Exit status: 0 done, 1 get found no row, 2 usage, 3 unsupported, 4 corrupt, 5 storage."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the row that has the key, of the highest version, as one line of JSON.
    Get(Question),
    /// Print what a lookup reads (without a key, a scan): waves, ranges, bytes.
    Plan(Question),
    /// Print every live row (with a key, those that have it) as lines of JSON.
    Scan(Question),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Question {
    /// Metadata file, table folder, or s3:// URL of either.
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: String,
    /// Where the files lie whose locations begin with PREFIX; the longest prefix wins.
    #[arg(long, value_name = "PREFIX=FOLDER")]
    pub(crate) map: Vec<String>,
    /// A column of the key and its value, as scan prints it (text without quotes).
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub(crate) key: Vec<String>,
    /// A column to print; without one, all.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) column: Vec<String>,
    /// The snapshot to read, with the schema of its time; without it, the current one.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) snapshot: Option<i64>,
    /// The column whose highest value wins in get; without it, an int or long column named version.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) version_column: Option<String>,
    /// Endpoint of the S3-compatible store; without it `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or AWS itself.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Region of the store; without it `AWS_REGION`, `AWS_DEFAULT_REGION`, or auto.
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// Print requests, waves and bytes to standard error at the end.
    #[arg(long)]
    pub(crate) stats: bool,
}
