//! Parameters that several routes take, as the document shows them. The routes read them with [`Params`](super::super::query).
#![allow(dead_code)] // described, not read: what a route takes depends on the pipeline's views

use groundswell_core::score::EMOTIONS;
use groundswell_core::spec::GroupColumn;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, Object, ObjectBuilder, Schema};
use utoipa::openapi::{KnownFormat, RefOr, Required, SchemaFormat, Type};
use utoipa::{IntoParams, ToSchema};

/// A view.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InView {
    /// Name of a view.
    view: String,
}

/// An alert.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfAlert {
    /// The alert's id, 32 hex digits.
    #[param(pattern = "^[0-9a-f]{32}$")]
    id: String,
}

/// A thread.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfThread {
    /// The thread's id.
    thread: String,
}

/// Any of a view's group columns.
pub struct Groups;

impl IntoParams for Groups {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let names = GroupColumn::ALL.map(GroupColumn::name);
        let columns = names.iter().fold(ObjectBuilder::new(), |columns, name| {
            columns.property(*name, Object::with_type(Type::String))
        });
        let columns = columns.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let words = format!(
            "Any of the view's group columns, by its own name: {}.",
            names.join(", ")
        );
        let group = ParameterBuilder::new()
            .name("group")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(words))
            .style(Some(ParameterStyle::Form))
            .explode(Some(true))
            .schema(Some(columns.build()));
        vec![group.build()]
    }
}

/// A time as it may be given.
fn time() -> RefOr<Schema> {
    let ms = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(i64::MIN))
        .maximum(Some(i64::MAX));
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    Schema::AnyOf(AnyOfBuilder::new().item(ms).item(text).build()).into()
}

/// Bounds of windows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Windows {
    /// Windows that start at or after this: RFC 3339 or epoch milliseconds.
    #[param(schema_with = time, required = false)]
    since: Option<String>,
    /// Windows that start before this: RFC 3339 or epoch milliseconds.
    #[param(schema_with = time, required = false)]
    until: Option<String>,
}

/// The same, as the first systems call them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Between {
    /// From here on; RFC 3339 or epoch milliseconds.
    #[param(schema_with = time, required = false)]
    start: Option<String>,
    /// Before this.
    #[param(schema_with = time, required = false)]
    end: Option<String>,
}

/// Direction of a listing.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Direction {
    /// The earliest first.
    Asc,
    /// The latest first.
    Desc,
}

/// In which order.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Ordered {
    /// Direction by `window_start`.
    #[param(inline, default = "asc")]
    order: Option<Direction>,
}

/// A page of a listing.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Page size.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// What the client has already.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Conditional {
    /// ETag of the version the client has.
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    if_none_match: String,
}

/// Which posts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PostColumns {
    /// Posts of this thread; several are alternatives, an empty value asks for posts without one.
    thread: Option<Vec<String>>,
    /// Posts that mention this entity; as `thread`.
    entity: Option<Vec<String>>,
    /// Posts of this source; as `thread`.
    source: Option<Vec<String>>,
    /// Posts of this author; as `thread`.
    author: Option<Vec<String>>,
}

fn emotion() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(EMOTIONS))
        .build()
}

/// Which posts, as the first systems ask.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FirstPosts {
    /// Posts in the page.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<u32>,
    /// Posts before it.
    #[param(minimum = 0, maximum = 10_000, default = 0)]
    offset: Option<u32>,
    /// Platform or community.
    source: Option<String>,
    /// Author.
    author: Option<String>,
    /// Thread.
    thread: Option<String>,
    /// Most probable class.
    #[param(inline)]
    sentiment: Option<super::shapes::Class>,
    /// Emotion.
    #[param(schema_with = emotion, required = false)]
    emotion: Option<String>,
}

/// Which alerts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertColumns {
    /// Name of a rule.
    rule: Option<String>,
    /// State now.
    #[param(inline)]
    state: Option<super::shapes::AlertState>,
    /// Name of the view watched.
    view: Option<String>,
}

/// Length of windows.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// Kind of file.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum FileFormat {
    /// Comma-separated values.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// How frames are written.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum FrameEncoding {
    /// JSON texts.
    Json,
    /// MessagePack in binary frames.
    Msgpack,
}

/// What a sink can be told.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SinkOrder {
    /// Take nothing more.
    Pause,
    /// Go on.
    Resume,
    /// Write what differs.
    Resync,
}
