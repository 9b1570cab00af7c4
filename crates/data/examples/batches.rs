//! How fast a data set loads and its batches are made: `cargo run --release -p anmok-data --example batches -- NAME DATA_DIR`.
#![allow(clippy::disallowed_macros, reason = "an example prints")]

use std::time::Instant;

use anmok_data::{Augmentation, Batch, Loader, LoaderOptions, OpenOptions, open, stratified_split};

fn main() -> Result<(), anmok_data::DataError> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "FashionMNIST-sample".into());
    let data_dir = arguments.next().unwrap_or_else(|| "data".into());
    let start = Instant::now();
    let splits = open(&name, &OpenOptions::new(data_dir))?;
    println!("{name}: opened in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    splits.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    for set in [&splits.train, &splits.test] {
        println!("{} {} from {}", set.digest(), set.profile(), set.source());
    }
    let start = Instant::now();
    let split = stratified_split(splits.train.labels(), 0.1, 0)?;
    println!(
        "split in {:.1} ms: {} + {}, validation starts {:?}",
        start.elapsed().as_secs_f64() * 1e3,
        split.train.len(),
        split.validation.len(),
        &split.validation[..5]
    );
    for (what, augmentation) in [("as they are", Augmentation::NONE), ("crop and flip", Augmentation::STANDARD)] {
        let options = LoaderOptions { batch_size: 64, drop_last: false, seed: 0, augmentation };
        let loader = Loader::training(splits.train.clone(), split.train.clone(), &options)?;
        let (order, mut batch) = (loader.order(0), Batch::default());
        loader.fill(&order, 0, &mut batch);
        let start = Instant::now();
        (0..loader.batches()).for_each(|number| loader.fill(&order, number, &mut batch));
        println!("{what}: {:.2} us per image", start.elapsed().as_secs_f64() * 1e6 / loader.images() as f64);
    }
    Ok(())
}
