//! The key of the command line: values in the form in which rows are printed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use firn_iceberg::{
    schema::{PrimitiveType, Schema, Type},
    value::{Literal, Value, json::parse_value},
};

use crate::error::InspectError;

/// The columns of the key, by field id, and their values: `texts` are of the form `COLUMN=VALUE`.
pub(crate) fn parse_key(texts: &[String], schema: &Schema) -> Result<Vec<(i32, Literal)>, InspectError> {
    texts.iter().map(|text| parse_term(text, schema)).collect()
}

fn parse_term(text: &str, schema: &Schema) -> Result<(i32, Literal), InspectError> {
    // A name may hold `=`: the first one counts before which there is a column.
    let places = text.match_indices('=').map(|(place, _)| place);
    let mut splits = places.filter_map(|place| Some((text.get(..place)?, text.get(place + 1..)?)));
    let found = splits.find_map(|(name, value)| Some((schema.column_named(name)?, value)));
    let missing = || {
        let name = text.split_once('=').map_or(text, |(name, _)| name).to_owned();
        InspectError::Column { name, problem: "--key needs COLUMN=VALUE with a column of the schema" }
    };
    let (column, value) = found.ok_or_else(missing)?;
    let Some(ty) = column.ty.as_primitive() else {
        return Err(InspectError::Column { name: column.name.clone(), problem: "a key column is primitive" });
    };
    let literal = parse_literal(value, ty).ok_or_else(|| InspectError::Key {
        column: column.name.clone(),
        found: value.to_owned(),
        expected: format!("{ty:?}"),
    })?;
    Ok((column.id, literal))
}

/// The inverse of [`crate::render::render_text`].
fn parse_literal(text: &str, ty: PrimitiveType) -> Option<Literal> {
    use PrimitiveType as P;
    let of_json = |json: serde_json::Value| match parse_value(&json, &Type::Primitive(ty))? {
        Value::Primitive(literal) => Some(literal),
        _ => None,
    };
    match ty {
        P::Boolean | P::Int | P::Long => of_json(serde_json::from_str(text).ok()?),
        // Through `f64`, so that a float may be given as short as it is written or as exact as it is printed.
        #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
        P::Float => text.parse::<f64>().ok().map(|value| Literal::Float(value as f32)),
        P::Double => text.parse().ok().map(Literal::Double),
        P::Decimal { scale, .. } => of_json(pad_decimal(text, scale)?.into()),
        P::Fixed(len) => {
            let bytes = STANDARD.decode(text).ok()?;
            (bytes.len() as u64 == u64::from(len)).then_some(Literal::Fixed(bytes))
        }
        P::Binary => STANDARD.decode(text).ok().map(Literal::Binary),
        P::Unknown | P::Geometry | P::Geography => None,
        _ => of_json(text.into()),
    }
}

/// A decimal with all digits of its scale.
fn pad_decimal(text: &str, scale: u32) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = usize::try_from(scale).ok()?;
    let point = if scale == 0 { "" } else { "." };
    (fraction.len() <= scale).then(|| format!("{whole}{point}{fraction:0<scale$}"))
}

#[cfg(test)]
mod tests {
    use firn_iceberg::schema::{NestedField, parse_primitive};
    use proptest::prelude::*;

    use super::*;
    use crate::render::render_text;

    fn schema(columns: &[(&str, &str)]) -> Schema {
        let field = |(id, (name, ty)): (i32, &(&str, &str))| NestedField {
            id,
            name: (*name).to_owned(),
            required: false,
            ty: Type::Primitive(parse_primitive(ty).unwrap()),
            initial_default: None,
        };
        Schema {
            schema_id: 0,
            fields: (1..).zip(columns).map(field).collect(),
            identifier_field_ids: Vec::new(),
        }
    }

    #[track_caller]
    fn check(ty: &str, text: &str, expected: impl Into<Option<Literal>>) {
        let found = parse_key(&[format!("c={text}")], &schema(&[("c", ty)]));
        assert_eq!(found.ok().map(|mut key| key.remove(0).1), expected.into(), "{text}");
    }

    #[test]
    fn values_are_taken_as_they_are_printed() {
        check("string", "a=b", Literal::String("a=b".into()));
        check("string", "", Literal::String(String::new()));
        check("string", "34", Literal::String("34".into()));
        check("long", "34", Literal::Long(34));
        check("long", "\"34\"", None);
        check("int", "3000000000", None);
        check("boolean", "true", Literal::Boolean(true));
        check("float", "0.1", Literal::Float(0.1));
        check("float", "0.10000000149011612", Literal::Float(0.1));
        check("double", "-Infinity", Literal::Double(f64::NEG_INFINITY));
        check("decimal(9, 2)", "14.2", Literal::Decimal { unscaled: 1420, scale: 2 });
        check("decimal(9, 2)", "14", Literal::Decimal { unscaled: 1400, scale: 2 });
        check("decimal(9, 2)", "14.201", None);
        check("decimal(9, 0)", "14", Literal::Decimal { unscaled: 14, scale: 0 });
        check("timestamptz", "1970-01-01T00:00:00+00:00", Literal::Timestamptz(0));
        check("fixed[4]", "AAEC/w==", Literal::Fixed(vec![0, 1, 2, 255]));
        check("fixed[3]", "AAEC/w==", None);
        check("binary", "AAEC/w", None);
        check("geometry", "AAEC/w==", None);
    }

    #[test]
    fn names_may_hold_the_sign() {
        let schema = schema(&[("a", "string"), ("a=b", "string")]);
        let of = |text: &str| parse_key(&[text.to_owned()], &schema).map_err(|error| error.to_string());
        assert_eq!(of("a=b=c").unwrap(), [(1, Literal::String("b=c".into()))]);
        assert!(of("b=c").unwrap_err().contains("column b"));
        assert!(of("a").unwrap_err().contains("COLUMN=VALUE"));
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_rendering(
            long: i64,
            double: f64,
            unscaled in -(10_i128.pow(38)) + 1..10_i128.pow(38),
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            uuid: [u8; 16],
        ) {
            for (ty, literal) in [
                ("long", Literal::Long(long)),
                ("double", Literal::Double(double)),
                ("decimal(38, 7)", Literal::Decimal { unscaled, scale: 7 }),
                ("timestamptz_ns", Literal::TimestamptzNs(long)),
                ("binary", Literal::Binary(bytes)),
                ("uuid", Literal::Uuid(uuid)),
            ] {
                let parsed = parse_literal(&render_text(&literal), parse_primitive(ty).unwrap());
                prop_assert!(parsed.as_ref().is_some_and(|parsed| parsed.is_same(&literal)), "{:?}", parsed);
            }
        }
    }
}
