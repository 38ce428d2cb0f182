//! `/api/v1/views/{view}/export`: all rows of a view, or those of a filter, as one file.
//!
//! In: a request. Out: the file, streamed. State while it lasts: the view as it was at one tick (shared with the hub, which
//! copies only what changes meanwhile), one piece being made and one being sent. The rows are read and encoded off the
//! threads that serve others, and only when the client has taken what came before. A client that takes nothing for a
//! minute, or a defect, breaks the stream off where it is: a file that ends well is whole.

use super::App;
use super::api::answers::{Guarded, NotFound, Unread};
use super::api::params::{Conditional, FileFormat, Groups, InView, Ordered, Windows};
use super::auth::{Principal, Tenancy};
use super::error::ApiError;
use super::query::Params;
use super::reply::conditional;
use super::views::{find, page, selection, tag};
use crate::hub::ViewState;
use crate::hub::export::{Encoder, ExportError, Format};
use crate::hub::filter::{Filter, Invalid, view_parameters};
use crate::hub::table::Order;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use groundswell_core::spec::{ViewKey, ViewSpec};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Files that are being sent at one time; each may hold an old copy of a view.
pub(super) const MOST: usize = 8;
/// Rows of a piece.
const PIECE: usize = 2_048;
/// How long a client may take nothing.
const STALLED: Duration = Duration::from_secs(60);
/// The tick that the file is as of.
pub(super) const AT: HeaderName = HeaderName::from_static("groundswell-at");

/// All rows of a view, or those of a filter, as one file.
///
/// Streamed, and as of one tick, groundswell-at. The columns are those of the rows route: group columns,
/// window_start, window_end, measures, updated_at; what is not there is an empty field, null or a null. An answer
/// that does not end properly is not whole.
#[utoipa::path(
    get,
    path = "/api/v1/views/{view}/export",
    tag = "views",
    operation_id = "get_views_view_export",
    params(InView, ("format" = inline(Option<FileFormat>), Query, description = "Kind of file; csv if not said."), Groups, Windows, Ordered, Conditional),
    responses(
        (status = 200, description = "The file.", headers(("groundswell-at" = u64, description = "The tick that all rows are as of."), ("content-disposition" = String, description = "A name for the file.")), content(
            (String = "text/csv; charset=utf-8; header=present"), (String = "application/jsonl; charset=utf-8"), (Vec<u8> = "application/vnd.apache.parquet"))),
        NotFound, Unread, Guarded
    )
)]
pub async fn file(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    method: Method,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::not_found(error.body_text()))?;
    let tenancy = who.tenancy(&app);
    let (index, spec) = find(&app, &name, tenancy)?;
    let mut allowed = view_parameters(spec);
    allowed.extend(["format", "order"]);
    let params = Params::parse(&uri, &allowed)?;
    let format = match params.one("format")? {
        None => Format::Csv,
        Some(name) => {
            Format::named(name).ok_or_else(|| Invalid::value("format", name, &Format::ALL.map(Format::name)))?
        }
    };
    send(&app, (index, spec), (method, &headers), tenancy, format, |_| {
        let (filter, order) = selection(spec, &params)?;
        Ok(Rows { filter, order })
    })
}

/// Which rows a file has, and in which order.
pub(super) struct Rows {
    pub(super) filter: Filter,
    pub(super) order: Order,
}

/// Sends a file of the rows that `rows` chooses of the view as it is.
pub(super) fn send(
    app: &App,
    (index, spec): (usize, &ViewSpec),
    (method, headers): (Method, &HeaderMap),
    tenancy: Option<Tenancy>,
    format: Format,
    rows: impl FnOnce(&ViewState) -> Result<Rows, ApiError>,
) -> Result<Response, ApiError> {
    app.require_served()?;
    let state = app
        .hub
        .view(index)
        .ok_or_else(|| ApiError::not_found("There is no such view"))?;
    let Rows { mut filter, order } = rows(&state)?;
    if let Some(tenancy) = tenancy {
        tenancy.rows(spec, &mut filter);
    }
    conditional(headers, &tag(app, state.version, tenancy), || {
        let about = describe(format, spec, &state)?;
        if method == Method::HEAD {
            return Ok(about.into_response());
        }
        let Ok(permit) = app.exports.clone().try_acquire_owned() else {
            let message = format!("{MOST} exports are under way, which is as many as allowed");
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "TOO_MANY_EXPORTS",
                message,
            ));
        };
        let clock = (state.at, state.clock);
        let encoder = Encoder::new(format, spec.clone(), app.hub.lookup().clone(), clock)
            .map_err(|error| ApiError::internal(&error))?;
        let export = Export {
            spec: spec.clone(),
            state,
            filter,
            order,
            after: None,
            encoder,
        };
        let (to_client, parts) = mpsc::channel(1);
        tokio::spawn(async move {
            export.send(to_client).await;
            drop(permit);
        });
        Ok((about, body(parts)).into_response())
    })
}

fn describe(format: Format, spec: &ViewSpec, state: &ViewState) -> Result<[(HeaderName, HeaderValue); 3], ApiError> {
    // Names of views are plain words, so nothing in here needs escaping.
    let name = format!("attachment; filename=\"{}.{}\"", spec.name, format.name());
    let name = HeaderValue::from_str(&name).map_err(|error| ApiError::internal(&error))?;
    Ok([
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::CONTENT_DISPOSITION, name),
        (AT, HeaderValue::from(state.at)),
    ])
}

enum Part {
    Bytes(Bytes),
    End,
}

/// Ends well only after [`Part::End`].
fn body(parts: mpsc::Receiver<Part>) -> Body {
    let parts = futures::stream::unfold(Some(parts), |parts| async {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Some(Part::End) => None,
            None => Some((Err(std::io::Error::other("the export was broken off")), None)),
        }
    });
    // What compresses it asks once more after the end.
    Body::from_stream(parts.fuse())
}

struct Export {
    spec: ViewSpec,
    state: ViewState,
    filter: Filter,
    order: Order,
    after: Option<ViewKey>,
    encoder: Encoder,
}

impl Export {
    async fn send(self, to_client: mpsc::Sender<Part>) {
        let mut left = Some(self);
        while let Some(export) = left.take() {
            let made = tokio::task::spawn_blocking(move || export.piece()).await;
            let bytes = match made {
                Ok(Ok((bytes, rest))) => {
                    left = rest;
                    bytes
                }
                Ok(Err(error)) => return tracing::error!(%error, "an export was broken off"),
                Err(error) => return tracing::error!(%error, "an export was broken off"),
            };
            if !bytes.is_empty() && !taken(&to_client, Part::Bytes(bytes.into())).await {
                return;
            }
        }
        taken(&to_client, Part::End).await;
    }

    /// The next bytes, and what is left to do.
    fn piece(mut self) -> Result<(Vec<u8>, Option<Self>), ExportError> {
        let asked = (&self.filter, self.order);
        let page = page(&self.spec, &self.state, asked, self.after, PIECE);
        self.after = page.rows.last().map(|(key, _)| *key);
        let mut bytes = self.encoder.rows(&page.rows)?;
        if page.more {
            return Ok((bytes, Some(self)));
        }
        bytes.append(&mut self.encoder.finish()?);
        Ok((bytes, None))
    }
}

/// Whether the client takes a part in time.
async fn taken(to_client: &mpsc::Sender<Part>, part: Part) -> bool {
    match timeout(STALLED, to_client.send(part)).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) => false,
        Err(_) => {
            tracing::info!(after = ?STALLED, "an export was broken off: its reader took nothing");
            false
        }
    }
}
