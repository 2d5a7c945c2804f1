//! Serves the demo origin by itself: `cargo run -p pitwall-origin --example serve -- [ADDRESS]`.
#![expect(clippy::print_stdout, reason = "an example prints to its terminal")]

use pitwall_origin::{Origin, OriginConfig};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Origin::new(OriginConfig::default()).serve(listener, shutdown).await
}
