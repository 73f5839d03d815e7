//! Wanted columns in the schema of a file: which leaf columns hold them, and how their levels nest.
//!
//! Spec: Iceberg "Column Projection"; Parquet "Nested Types" with its rules for older writers.

use std::ops::Range;

use firn_iceberg::{
    name_mapping::NameMapping,
    schema::{NestedField, PrimitiveType, Type},
    value::Value,
};
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition},
    schema::types::{SchemaDescriptor, Type as ParquetType, TypePtr},
};

use crate::file::{ColumnRef, convert::Conversion, error::Cause, limits::SCHEMA_DEPTH_MAX};

/// A wanted column in a file.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    /// How its values nest.
    pub(crate) node: Node,
    /// The leaf columns that hold it, in the order of their slots.
    pub(crate) leaves: Vec<LeafRef>,
}

/// A leaf column of a file.
#[derive(Clone, Debug)]
pub(crate) struct LeafRef {
    /// Its number.
    pub(crate) leaf_idx: usize,
    /// Its conversion; `None` where only its levels are wanted.
    pub(crate) conversion: Option<Conversion>,
}

/// How values nest. Definition levels are those at which a place is not null.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// The same for every row: the file has no such column.
    Constant(Option<Value>),
    /// A primitive value.
    Leaf {
        /// Its place in [`Projection::leaves`].
        slot: usize,
    },
    /// A struct.
    Struct {
        /// Level at which it is there.
        def: u32,
        /// Repetition level of its nearest repeated ancestor, or its own.
        rep: u32,
        /// Its fields.
        fields: Vec<Node>,
        /// Its leaf columns.
        slots: Range<usize>,
        /// Whether its one leaf column is there only to tell whether the struct is.
        is_levels_only: bool,
    },
    /// A list.
    List {
        /// Levels of its items.
        items: Items,
        /// Its element.
        element: Box<Node>,
    },
    /// A map.
    Map {
        /// Levels of its pairs.
        items: Items,
        /// The keys.
        key: Box<Node>,
        /// The values.
        value: Box<Node>,
    },
}

/// Levels of repeated items.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    /// Definition level at which the list or map is there.
    pub(crate) def: u32,
    /// Definition level at which it has an item.
    pub(crate) item_def: u32,
    /// Repetition level of a further item.
    pub(crate) rep: u32,
    /// Its leaf columns.
    pub(crate) slots: Range<usize>,
}

/// A node of a file's schema, with its levels.
#[derive(Clone, Debug)]
struct SchemaNode<'a> {
    ty: &'a ParquetType,
    /// Levels of the node itself, its own repetition counted.
    def: u32,
    rep: u32,
    /// Number of its first leaf column.
    leaf_idx: usize,
}

impl<'a> SchemaNode<'a> {
    fn children(&self) -> Vec<SchemaNode<'a>> {
        let ParquetType::GroupType { fields, .. } = self.ty else { return Vec::new() };
        let mut leaf_idx = self.leaf_idx;
        fields
            .iter()
            .map(|field| {
                let child = self.child(field, leaf_idx);
                leaf_idx += leaf_count(field);
                child
            })
            .collect()
    }

    fn child(&self, ty: &'a TypePtr, leaf_idx: usize) -> SchemaNode<'a> {
        let (def, rep) = match ty.get_basic_info().repetition() {
            Repetition::REQUIRED => (0, 0),
            Repetition::OPTIONAL => (1, 0),
            Repetition::REPEATED => (1, 1),
        };
        SchemaNode { ty, def: self.def + def, rep: self.rep + rep, leaf_idx }
    }

    fn is_repeated(&self) -> bool {
        let info = self.ty.get_basic_info();
        info.has_repetition() && info.repetition() == Repetition::REPEATED
    }

    fn id(&self) -> Option<i32> {
        let info = self.ty.get_basic_info();
        info.has_id().then(|| info.id())
    }

    fn only_child(&self) -> Option<SchemaNode<'a>> {
        let mut children = self.children();
        if children.len() == 1 { children.pop() } else { None }
    }
}

fn leaf_count(ty: &ParquetType) -> usize {
    match ty {
        ParquetType::PrimitiveType { .. } => 1,
        ParquetType::GroupType { fields, .. } => fields.iter().map(|field| leaf_count(field)).sum(),
    }
}

fn has_ids(ty: &ParquetType) -> bool {
    match ty {
        ParquetType::PrimitiveType { .. } => ty.get_basic_info().has_id(),
        ParquetType::GroupType { fields, .. } => {
            ty.get_basic_info().has_id() || fields.iter().any(|field| has_ids(field))
        }
    }
}

/// Finds wanted columns in one file.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    root: SchemaNode<'a>,
    /// Where the file has no ids of its own. Without a mapping no column is found: the specification knows no other
    /// way, and a guess by position may show another column's values.
    names: Option<&'a NameMapping>,
    has_ids: bool,
}

/// The place at which a node is looked for.
struct Place<'a> {
    /// Iceberg's path of names, for the mapping.
    path: Vec<&'a str>,
    leaves: Vec<LeafRef>,
}

impl<'a> Resolver<'a> {
    /// Reads the schema of a file.
    pub(crate) fn new(schema: &'a SchemaDescriptor, names: Option<&'a NameMapping>) -> Self {
        let ty = schema.root_schema();
        let has_ids = ty.get_fields().iter().any(|field| has_ids(field));
        Self { root: SchemaNode { ty, def: 0, rep: 0, leaf_idx: 0 }, names, has_ids }
    }

    /// Finds a column.
    pub(crate) fn resolve(&self, column: &ColumnRef) -> Result<Projection, Cause> {
        let mut place = Place { path: Vec::new(), leaves: Vec::new() };
        let default = column.initial_default.as_ref();
        let node = self.field(&self.root.children(), column.field_id, &column.ty, default, &mut place)?;
        Ok(Projection { node, leaves: place.leaves })
    }

    fn field(
        &self,
        among: &[SchemaNode<'a>],
        field_id: i32,
        ty: &Type,
        default: Option<&Value>,
        place: &mut Place<'a>,
    ) -> Result<Node, Cause> {
        if place.path.len() > SCHEMA_DEPTH_MAX {
            return Err(Cause::invalid("schema depth", place.path.len() as u64));
        }
        let found = among.iter().find(|node| self.id_of(node, &place.path) == Some(field_id));
        match found {
            Some(node) if ty.as_primitive() != Some(PrimitiveType::Unknown) => {
                place.path.push(node.ty.name());
                let node = self.node(node, ty, place);
                place.path.pop();
                node
            }
            _ => Ok(Node::Constant(default.cloned())),
        }
    }

    fn id_of(&self, node: &SchemaNode<'a>, path: &[&str]) -> Option<i32> {
        if self.has_ids {
            return node.id();
        }
        let path: Vec<&str> = path.iter().copied().chain([node.ty.name()]).collect();
        self.names?.field_id(&path)
    }

    fn node(&self, node: &SchemaNode<'a>, ty: &Type, place: &mut Place<'a>) -> Result<Node, Cause> {
        match ty {
            Type::List(element) => self.list(node, element, place),
            _ if node.is_repeated() => Err(Cause::unsupported("repeated field as", ty)),
            Type::Primitive(primitive) => leaf(node, *primitive, place),
            Type::Struct(fields) => self.structure(node, fields, place),
            Type::Map(key, value) => self.map(node, key, value, place),
            Type::Variant => Err(Cause::unsupported("type", ty)),
        }
    }

    fn structure(
        &self,
        node: &SchemaNode<'a>,
        wanted: &[NestedField],
        place: &mut Place<'a>,
    ) -> Result<Node, Cause> {
        if node.ty.is_primitive() {
            return Err(Cause::unsupported("primitive column as", "struct"));
        }
        let (start, children) = (place.leaves.len(), node.children());
        let mut fields = Vec::with_capacity(wanted.len());
        for field in wanted {
            let default = field.initial_default.as_ref();
            fields.push(self.field(&children, field.id, &field.ty, default, place)?);
        }
        let is_levels_only = place.leaves.len() == start;
        if is_levels_only {
            // Any leaf below tells whether the struct is there.
            place.leaves.push(LeafRef { leaf_idx: node.leaf_idx, conversion: None });
        }
        let slots = start..place.leaves.len();
        Ok(Node::Struct { def: node.def, rep: node.rep, fields, slots, is_levels_only })
    }

    fn list(
        &self,
        node: &SchemaNode<'a>,
        element: &NestedField,
        place: &mut Place<'a>,
    ) -> Result<Node, Cause> {
        // A repeated field without a list around it is a list that is never null.
        let (repeated, def) = if node.is_repeated() {
            (node.clone(), node.def - 1)
        } else {
            let repeated = node.only_child().filter(SchemaNode::is_repeated);
            (repeated.ok_or_else(|| Cause::unsupported("list of the form", node.ty.name()))?, node.def)
        };
        let is_element = node.is_repeated() || is_element_itself(&repeated, node.ty.name());
        let item = if is_element { None } else { repeated.only_child() };
        let start = place.leaves.len();
        place.path.push("element");
        let element = match item {
            Some(item) => self.node(&item, &element.ty, place)?,
            None => self.repeated_element(&repeated, &element.ty, place)?,
        };
        place.path.pop();
        let items =
            Items { def, item_def: repeated.def, rep: repeated.rep, slots: start..place.leaves.len() };
        Ok(Node::List { items, element: Box::new(element) })
    }

    /// The repeated field is the element: it is there as often as it repeats, and never null.
    fn repeated_element(
        &self,
        repeated: &SchemaNode<'a>,
        ty: &Type,
        place: &mut Place<'a>,
    ) -> Result<Node, Cause> {
        match ty {
            Type::Primitive(primitive) => leaf(repeated, *primitive, place),
            Type::Struct(fields) => self.structure(repeated, fields, place),
            // Two levels of lists, the inner one as in the rules for older writers.
            Type::List(element) => {
                let inner = repeated.only_child().filter(SchemaNode::is_repeated);
                let inner =
                    inner.ok_or_else(|| Cause::unsupported("list of the form", repeated.ty.name()))?;
                let start = place.leaves.len();
                let node = self.repeated_element(&inner, &element.ty, place)?;
                let slots = start..place.leaves.len();
                let items = Items { def: repeated.def, item_def: inner.def, rep: inner.rep, slots };
                Ok(Node::List { items, element: Box::new(node) })
            }
            Type::Map(..) | Type::Variant => Err(Cause::unsupported("element of type", ty)),
        }
    }

    fn map(
        &self,
        node: &SchemaNode<'a>,
        key: &NestedField,
        value: &NestedField,
        place: &mut Place<'a>,
    ) -> Result<Node, Cause> {
        let unsupported = || Cause::unsupported("map of the form", node.ty.name());
        let pairs = node.only_child().filter(SchemaNode::is_repeated).ok_or_else(unsupported)?;
        let mut children = pairs.children().into_iter();
        let key_node = children.next().ok_or_else(unsupported)?;
        let start = place.leaves.len();
        place.path.push("key");
        let key = self.node(&key_node, &key.ty, place)?;
        place.path.pop();
        place.path.push("value");
        // A map without values is a set: every value is null.
        let value = match children.next() {
            Some(value_node) => self.node(&value_node, &value.ty, place)?,
            None => Node::Constant(None),
        };
        place.path.pop();
        let items =
            Items { def: node.def, item_def: pairs.def, rep: pairs.rep, slots: start..place.leaves.len() };
        Ok(Node::Map { items, key: Box::new(key), value: Box::new(value) })
    }
}

fn leaf(node: &SchemaNode<'_>, primitive: PrimitiveType, place: &mut Place<'_>) -> Result<Node, Cause> {
    if node.ty.is_group() {
        return Err(Cause::unsupported("group as", primitive));
    }
    let slot = place.leaves.len();
    let conversion = Some(Conversion::new(node.ty, primitive)?);
    place.leaves.push(LeafRef { leaf_idx: node.leaf_idx, conversion });
    Ok(Node::Leaf { slot })
}

/// The backward-compatibility rules of lists: whether the repeated field is the element rather than a group around it.
fn is_element_itself(repeated: &SchemaNode<'_>, list_name: &str) -> bool {
    let ParquetType::GroupType { fields, .. } = repeated.ty else { return true };
    let name = repeated.ty.name();
    let [only] = fields.as_slice() else { return true };
    let is_annotated = is_list_or_map(repeated.ty);
    let only_repeats = only.get_basic_info().repetition() == Repetition::REPEATED;
    is_annotated || only_repeats || name == "array" || name.strip_suffix("_tuple") == Some(list_name)
}

fn is_list_or_map(ty: &ParquetType) -> bool {
    let info = ty.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::List | LogicalType::Map))
        || matches!(
            info.converted_type(),
            ConvertedType::LIST | ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
        )
}

#[cfg(test)]
mod tests {
    use parquet::schema::parser::parse_message_type;

    use super::*;

    fn field(id: i32, name: &str, ty: Type) -> NestedField {
        NestedField { id, name: name.to_owned(), required: false, ty, initial_default: None }
    }

    fn list(element: Type) -> Type {
        Type::List(Box::new(field(0, "element", element)))
    }

    fn int() -> Type {
        Type::Primitive(PrimitiveType::Int)
    }

    fn structure(fields: &[(i32, Type)]) -> Type {
        Type::Struct(fields.iter().map(|(id, ty)| field(*id, "f", ty.clone())).collect())
    }

    /// Structs in braces, lists in brackets, maps in angles; behind each the levels.
    fn describe(node: &Node) -> String {
        let items = |items: &Items| format!("{}/{}/{}", items.def, items.item_def, items.rep);
        match node {
            Node::Constant(value) => if value.is_some() { "default" } else { "null" }.to_owned(),
            Node::Leaf { slot } => slot.to_string(),
            Node::Struct { def, fields, is_levels_only, .. } => {
                let fields: Vec<String> = fields.iter().map(describe).collect();
                format!("{{{}}}{def}{}", fields.join(","), if *is_levels_only { "?" } else { "" })
            }
            Node::List { items: levels, element } => format!("[{}]{}", describe(element), items(levels)),
            Node::Map { items: levels, key, value } => {
                format!("<{},{}>{}", describe(key), describe(value), items(levels))
            }
        }
    }

    #[track_caller]
    fn check(schema: &str, ty: &Type, expected: &str, leaves: &[usize]) {
        let schema = parse_message_type(&format!("message m {{ {schema} }}")).unwrap();
        let schema = SchemaDescriptor::new(std::sync::Arc::new(schema));
        let column = ColumnRef { field_id: 7, ty: ty.clone(), initial_default: None };
        let projection = Resolver::new(&schema, None).resolve(&column).unwrap();
        assert_eq!(describe(&projection.node), expected);
        let found: Vec<usize> = projection.leaves.iter().map(|leaf| leaf.leaf_idx).collect();
        assert_eq!(found, leaves);
    }

    #[test]
    fn lists_of_every_age_are_lists() {
        let element = "repeated group list { optional int32 element; }";
        check(&format!("optional group a (LIST) = 7 {{ {element} }}"), &list(int()), "[0]1/2/1", &[0]);
        check(&format!("required group a (LIST) = 7 {{ {element} }}"), &list(int()), "[0]0/1/1", &[0]);
        check("optional group a (LIST) = 7 { repeated int32 element; }", &list(int()), "[0]1/2/1", &[0]);
        check("repeated int32 a = 7;", &list(int()), "[0]0/1/1", &[0]);
        let of_one = list(structure(&[(8, int())]));
        for (repeated, expected) in [
            ("array { required int32 x = 8; }", "[{0}2]1/2/1"),
            ("a_tuple { required int32 x = 8; }", "[{0}2]1/2/1"),
            ("list { required int32 x = 8; required int32 y; }", "[{0}2]1/2/1"),
            ("list { optional group element { optional int32 x = 8; } }", "[{0}3]1/2/1"),
        ] {
            check(
                &format!("optional group a (LIST) = 7 {{ repeated group {repeated} }}"),
                &of_one,
                expected,
                &[0],
            );
        }
        check("repeated group a = 7 { optional int32 x = 8; }", &of_one, "[{0}1]0/1/1", &[0]);
        let nested = "optional group a (LIST) = 7 { repeated group array (LIST) { repeated int32 array; } }";
        check(nested, &list(list(int())), "[[0]2/3/2]1/2/1", &[0]);
    }

    #[test]
    fn fields_are_found_by_id_and_missing_ones_are_null() {
        let schema =
            "required int32 first = 1; optional group a = 7 { optional int32 x = 8; required int32 y = 9; }";
        check(schema, &structure(&[(9, int()), (8, int())]), "{0,1}1", &[2, 1]);
        check(schema, &structure(&[(9, int()), (10, int())]), "{0,null}1", &[2]);
        check(schema, &structure(&[(10, int())]), "{null}1?", &[1]);
        check("required int32 a = 6;", &int(), "null", &[]);
        // Without ids and without a mapping no column is known.
        check("required int32 a;", &int(), "null", &[]);
        let pairs = "repeated group key_value { required int32 key; optional int32 value; }";
        let map = Type::Map(Box::new(field(0, "key", int())), Box::new(field(0, "value", int())));
        check(&format!("optional group a (MAP) = 7 {{ {pairs} }}"), &map, "<0,1>1/2/1", &[0, 1]);
        let set = "repeated group key_value { required int32 key; }";
        check(&format!("optional group a (MAP) = 7 {{ {set} }}"), &map, "<0,null>1/2/1", &[0]);
    }

    #[test]
    fn column_of_another_form_is_unsupported() {
        for (schema, ty) in [
            ("required int32 a = 7;", structure(&[])),
            ("required int32 a = 7;", list(int())),
            ("repeated int32 a = 7;", int()),
            ("required group a = 7 { required int32 x = 8; }", int()),
            ("required group a = 7 { required int32 x = 8; }", list(int())),
            ("required int32 a = 7;", Type::Variant),
        ] {
            let parsed = parse_message_type(&format!("message m {{ {schema} }}")).unwrap();
            let parsed = SchemaDescriptor::new(std::sync::Arc::new(parsed));
            let column = ColumnRef { field_id: 7, ty, initial_default: None };
            let error = Resolver::new(&parsed, None).resolve(&column).unwrap_err();
            assert!(matches!(error, Cause::Unsupported { .. }), "{schema}: {error}");
        }
    }
}
