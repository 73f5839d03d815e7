//! From locations, in metadata and on the command line, to keys of [`crate::stores::Stores`].

use std::path::{Path, absolute};

use firn_lookup::table::location::LocationMap;
use firn_types::object::ObjectKey;

use crate::{error::InspectError, stores::S3_SCHEME};

/// Schemes that name an object of an S3-compatible store.
const S3_SCHEMES: [&str; 3] = [S3_SCHEME, "s3a://", "s3n://"];

/// Schemes of other stores, which stay in the key, so that an error can name them.
const OTHER_SCHEMES: [&str; 10] = [
    "abfs://",
    "abfss://",
    "gcs://",
    "gs://",
    "hdfs://",
    "http://",
    "https://",
    "memory://",
    "oss://",
    "wasbs://",
];

/// The map of a table's locations: `maps` are texts of the form `PREFIX=FOLDER`.
///
/// A prefix ends at a slash, whether it is written or not. `s3`, `s3a` and `s3n` are one scheme: what is mapped for one
/// is mapped for all.
pub(crate) fn location_map(maps: &[String]) -> Result<LocationMap, InspectError> {
    let mut prefixes = Vec::new();
    for text in maps {
        let (prefix, folder) = split(text).ok_or_else(|| InspectError::Map { found: text.clone() })?;
        let rest = S3_SCHEMES.iter().find_map(|scheme| prefix.strip_prefix(scheme));
        match rest {
            Some(rest) => {
                let of_schemes = S3_SCHEMES.iter().map(|scheme| (format!("{scheme}{rest}"), folder.clone()));
                prefixes.extend(of_schemes);
            }
            None => prefixes.push((prefix, folder)),
        }
    }
    // What is mapped above wins, here too: it comes first, and the order of equal lengths stays.
    prefixes.extend(S3_SCHEMES.iter().map(|scheme| ((*scheme).to_owned(), S3_SCHEME.to_owned())));
    prefixes.extend(OTHER_SCHEMES.iter().map(|scheme| ((*scheme).to_owned(), (*scheme).to_owned())));
    for scheme in ["file://", "file:", ""] {
        prefixes.push((scheme.to_owned(), String::new()));
    }
    Ok(LocationMap::new(prefixes))
}

/// The key of what the command line names: a URL of a known scheme, or a path.
pub(crate) fn object_key(text: &str) -> ObjectKey {
    let s3 = S3_SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
    if let Some(rest) = s3 {
        return ObjectKey::new(&format!("{S3_SCHEME}{rest}"));
    }
    if text.contains("://") && !text.starts_with("file:") {
        return ObjectKey::new(text);
    }
    let path = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:")).unwrap_or(text);
    ObjectKey::new(&absolute_path(path))
}

fn absolute_path(path: &str) -> String {
    absolute(path).ok().and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| path.to_owned())
}

/// Prefix and folder, both with a slash at the end. Both may hold `=`: the first one counts behind which a folder, or a
/// URL, stands.
fn split(text: &str) -> Option<(String, String)> {
    let places = text.match_indices('=').map(|(place, _)| place);
    let mut splits = places.filter_map(|place| Some((text.get(..place)?, text.get(place + 1..)?)));
    splits.find_map(|(prefix, folder)| {
        let is_folder = S3_SCHEMES.iter().any(|scheme| folder.starts_with(scheme))
            || Path::new(folder.strip_prefix("file://").unwrap_or(folder)).is_dir();
        let slash = |text: &str| format!("{}/", text.trim_end_matches('/'));
        // Without a bucket behind it a scheme keeps both slashes.
        let prefix = if prefix.ends_with("://") { prefix.to_owned() } else { slash(prefix) };
        is_folder.then(|| (prefix, slash(object_key(folder).as_str())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(maps: &[&str], location: &str, key: &str) {
        let maps: Vec<String> = maps.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(location_map(&maps).unwrap().object_key(location).as_str(), key, "{location}");
    }

    #[test]
    fn locations_become_keys_of_a_store() {
        check(&[], "s3://b/a=1%2F/c", "s3://b/a=1%2F/c");
        check(&[], "s3a://b/c", "s3://b/c");
        check(&[], "file:///tmp/a", "/tmp/a");
        check(&[], "file:/tmp/a", "/tmp/a");
        check(&[], "/tmp/a", "/tmp/a");
        check(&[], "tmp/a", "tmp/a");
        check(&[], "gs://b/c", "gs://b/c");
    }

    #[test]
    fn prefixes_are_replaced_and_slashes_do_not_matter() {
        for map in
            ["s3://b=/tmp", "s3://b/=/tmp", "s3://b=/tmp/", "s3://b/=/tmp/", "s3a://b=/tmp", "s3n://b/=/tmp"]
        {
            for location in ["s3://b/c/d", "s3a://b/c/d"] {
                check(&[map], location, "/tmp/c/d");
            }
            check(&[map], "s3://bb/c", "s3://bb/c");
        }
        check(&["s3://b/id=1=/tmp"], "s3://b/id=1/c", "/tmp/c");
        check(&["s3://=/tmp"], "s3://b/c", "/tmp/b/c");
        check(&["s3://b=/", "s3://b/deep=/tmp"], "s3://b/deep/c", "/tmp/c");
        check(&["s3://b=s3://other/x"], "s3://b/c", "s3://other/x/c");
        check(&["/old=/tmp"], "/old/c", "/tmp/c");
        check(&["file:///old=/tmp"], "file:///old/c", "/tmp/c");
        check(&["gs://b=/tmp"], "gs://b/c", "/tmp/c");
    }

    #[test]
    fn map_without_a_folder_is_refused() {
        for text in ["", "s3://b", "s3://b=/no/such/folder", "s3://b=", "=x"] {
            assert!(
                matches!(location_map(&[text.to_owned()]), Err(InspectError::Map { found }) if found == text)
            );
        }
    }

    #[test]
    fn arguments_become_keys() {
        for (text, key) in [
            ("s3://b/t", "s3://b/t"),
            ("s3a://b/t", "s3://b/t"),
            ("/tmp/t", "/tmp/t"),
            ("file:///tmp/t", "/tmp/t"),
            ("gs://b/t", "gs://b/t"),
        ] {
            assert_eq!(object_key(text).as_str(), key);
        }
        assert!(Path::new(object_key("t").as_str()).is_absolute());
    }
}
