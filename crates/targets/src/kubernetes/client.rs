//! Connections to an API server whose address somebody typed: each is made to an address that was held
//! against the rules in that moment ([`crate::outgoing`]). A name may lead elsewhere tomorrow than it did
//! when the cluster was opened. An address that is no name leads nowhere else, and was looked at then.

use super::patience::Patience;
use crate::outgoing::Outgoing;
use anyhow::Context as _;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connection, HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt, retry::RetryPolicy},
};
use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
};
use tower::{BoxError, Service, ServiceBuilder, retry::RetryLayer};

/// The port of an address that names none.
const HTTPS: u16 = 443;

/// Looks a name up, and gives its addresses only if all of them may be connected to.
#[derive(Clone, Debug)]
struct Checked {
    outgoing: Outgoing,
    port: u16,
}

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { outgoing, port } = self.clone();
        Box::pin(async move {
            let found = outgoing.addresses(name.as_str(), port).await;
            found.map(Vec::into_iter).map_err(io::Error::other)
        })
    }
}

/// A client that looks at each address it connects to, where there are rules for that, and that asks no
/// sooner than the server said.
pub(super) fn client(
    config: Config,
    outgoing: Option<&Outgoing>,
    patience: Patience,
) -> anyhow::Result<Client> {
    match outgoing {
        Some(outgoing) => {
            let port = config.cluster_url.port_u16().unwrap_or(HTTPS);
            let checked = Checked { outgoing: outgoing.clone(), port };
            through(HttpConnector::new_with_resolver(checked), config, patience)
        }
        None => through(HttpConnector::new(), config, patience),
    }
    .context("reading the target's credentials")
}

fn through<R>(
    mut http: HttpConnector<R>,
    config: Config,
    patience: Patience,
) -> kube::Result<Client>
where
    HttpConnector<R>: Service<Uri> + Clone + Send + Sync + 'static,
    <HttpConnector<R> as Service<Uri>>::Response: Connection + Read + Write + Send + Unpin,
    <HttpConnector<R> as Service<Uri>>::Future: Send,
    <HttpConnector<R> as Service<Uri>>::Error: std::error::Error + Send + Sync,
{
    http.enforce_http(false);
    let https = config.rustls_https_connector_with_connector(http)?;
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let connected: legacy::Client<_, Body> =
        legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .layer(patience)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connected);
    Ok(Client::new(service, config.default_namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_where_it_may_not_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let url = format!("https://localhost:{port}");
        // As it was opened: when the name led somewhere else.
        let asked = async |outgoing: Outgoing| {
            let mut config = Config::new(url.parse().expect("a URL"));
            config.default_retry = false;
            config.connect_timeout = Some(crate::DEADLINE);
            let client = client(config, Some(&outgoing), Patience::default()).expect("a client");
            let error = client.apiserver_version().await.expect_err("nobody answers");
            format!("{:#}", anyhow::Error::from(error))
        };

        let refused = asked(Outgoing::default()).await;
        assert!(refused.contains("outgoing_allow"), "{refused}");
        let came = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept());
        assert!(came.await.is_err(), "nobody connected");

        let listed = Outgoing::new(vec![format!("localhost:{port}").parse().expect("good")]);
        let (said, came) = tokio::join!(asked(listed), async {
            let (stream, _) = listener.accept().await.expect("connected");
            drop(stream);
        });
        assert!(!said.contains("outgoing_allow"), "{said} {came:?}");
    }
}
