//! The status page over made-up findings, for those who work on the page and
//! on the dashboards: `cargo run -p observer --example web_demo -- 127.0.0.1:11400`.
//!
//! A second argument says how many events a second are made up (default 1).

mod findings;
mod metrics;
mod view;

use std::sync::Arc;
use std::time::Duration;

use observer::outputs::web::{self, Options};

use view::Demo;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:11400".to_owned());
    let rate: f64 = match arguments.next() {
        Some(rate) => rate.parse()?,
        None => 1.0,
    };

    let listeners = web::bind(&[&address]).await?;
    eprintln!("made-up findings on http://{address}/");
    let demo = Arc::new(Demo::new());
    if rate > 0.0 {
        let making = Arc::clone(&demo);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
            loop {
                ticks.tick().await;
                making.happen();
            }
        });
    }
    let interrupted = async {
        // Without a signal handler the demo ends by being killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    web::serve(listeners, demo, Options::default(), interrupted).await?;
    Ok(())
}
