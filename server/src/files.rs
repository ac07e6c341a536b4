//! Files for the browser, as the build left them, with the compressed copies beside them.

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use std::{fs, path::Path};
use tower_http::services::ServeDir;

/// What is named by its content never changes under that name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Fonts and icons keep their names when they change, which is seldom.
const A_DAY: &str = "public, max-age=86400";

/// `/pkg`, `/fonts`, and what browsers look for at the root.
pub fn routes<S: Clone + Send + Sync + 'static>(site: &Path) -> Router<S> {
    let pkg = Router::new()
        .nest_service("/pkg", directory(&site.join("pkg")))
        .layer(middleware::from_fn(|request, next| kept(FOR_EVER, request, next)));
    let mut public = Router::new().nest_service("/fonts", directory(&site.join("fonts")));
    for name in at_the_root(site) {
        public = public.route_service(&format!("/{name}"), file(site, &name));
    }
    let public = public.layer(middleware::from_fn(|request, next| kept(A_DAY, request, next)));
    pkg.merge(public)
}

fn directory(place: &Path) -> ServeDir {
    ServeDir::new(place)
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false)
}

fn file(site: &Path, name: &str) -> tower_http::services::ServeFile {
    tower_http::services::ServeFile::new(site.join(name)).precompressed_br().precompressed_gzip()
}

/// The files beside `pkg`, as they are at start: favicon.svg, robots.txt, site.webmanifest.
fn at_the_root(site: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(site)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_public(name))
        .collect();
    names.sort();
    names
}

/// Compressed copies are reached by the name of the file itself; what the build notes is not public.
fn is_public(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let of_the_build = name == "hash.txt" || name.ends_with(".br") || name.ends_with(".gz");
    plain && !name.starts_with('.') && !of_the_build
}

async fn kept(how_long: &'static str, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    // A file that is missing now may be there tomorrow.
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(how_long));
    }
    response
}
