//! `anmok data fetch|verify|show`: the images, before anything is trained.

use super::{Given, Surroundings};
use crate::failure::Interrupted;
use crate::logging;
use crate::settings::flags::{Flags, Sections};
use crate::settings::output::LogFormat;
use crate::settings::{Section, Settings, dataset, output, storage};
use crate::signals::Stop;
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, progress, units};
use anmok_data::{Dataset, FetchEvent, FetchOptions, Patience};
use anmok_train::pictures::{self, ImageView, Sample};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// The images: fetch, verify, show.
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Download a data set's official files into DATA_DIR
    #[command(
        after_help = "Examples:\n  anmok data fetch CIFAR10\n  anmok data fetch CIFAR10 --data-mirror https://mirror.example/cifar\n  anmok data fetch FashionMNIST --data-mirror /media/usb/fashion-mnist"
    )]
    Fetch(Fetch),
    /// Read all of a data set and compare its files with the published digests
    #[command(after_help = "Exit code 1 if a file is missing, damaged or not the published one.")]
    Verify(Verify),
    /// Draw a picture of samples with their labels
    #[command(after_help = "Examples:\n  anmok data show FashionMNIST-sample\n  anmok data show CIFAR10 --out samples/")]
    Show(Show),
}

#[derive(Debug)]
struct OfData;

impl Sections for OfData {
    const SECTIONS: &'static [&'static Section] = &[&dataset::SECTION, &storage::SECTION, &output::SECTION];
}

/// What the three have in common.
#[derive(Debug, Args)]
struct Chosen {
    /// The data set by name, or a folder with one sub-folder per class (default: the setting `dataset`)
    #[arg(value_name = "DATASET")]
    name: Option<String>,
    #[command(flatten)]
    flags: Flags<OfData>,
}

#[derive(Debug, Args)]
struct Fetch {
    #[command(flatten)]
    chosen: Chosen,
    /// Replace files that are there but are not the published ones
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    chosen: Chosen,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    chosen: Chosen,
    /// Write samples.png and samples.svg into this folder
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Show images of the test set
    #[arg(long)]
    test: bool,
}

impl Data {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        match self.command {
            DataCommand::Fetch(fetch) => fetch.run(surroundings),
            DataCommand::Verify(verify) => verify.run(surroundings),
            DataCommand::Show(show) => show.run(surroundings),
        }
    }
}

impl Chosen {
    fn settings(&self, surroundings: &Surroundings) -> anyhow::Result<Settings> {
        let mut flags = self.flags.given.clone();
        flags.extend(self.name.iter().map(|name| ("dataset", name.clone())));
        Ok(surroundings.resolve(OfData::SECTIONS, Given { flags: &flags, ..Given::default() })?.settings)
    }
}

impl Fetch {
    fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = self.chosen.settings(surroundings)?;
        let bars = progress::bars(settings.log_format == LogFormat::Human);
        logging::start(&settings, &bars, None);
        let stop = Stop::on_signals("stopping; what has arrived is kept")?;
        let options = FetchOptions {
            data_dir: settings.data_dir.clone(),
            mirror: settings.data_mirror.clone(),
            replace: self.replace,
            patience: Patience::default(),
        };
        let bar = bars.add(ProgressBar::hidden());
        let looks = ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(looks.progress_chars("━╸─"));
        let mut offered = false;
        let fetched = anmok_data::fetch(&settings.recipe.dataset, &options, &mut |event| {
            tell(event, &bar, &mut offered);
            if stop.asked.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        bar.finish_and_clear();
        match fetched {
            Ok(place) => print(&format!("{} is in {}\n", settings.recipe.dataset, place.display())),
            Err(e) => match stop.signal() {
                Some(signal) => return Err(Interrupted { signal, message: e.to_string() }.into()),
                None => return Err(e.into()),
            },
        }
        Ok(())
    }
}

const SAMPLE: &str =
    "meanwhile `anmok train --dataset FashionMNIST-sample` needs no download, and --data-mirror takes another host or a folder";

fn tell(event: &FetchEvent, bar: &ProgressBar, offered: &mut bool) {
    match event {
        FetchEvent::Present { place } => tracing::info!("already there: {}", place.display()),
        FetchEvent::Started { url, resumed_at, total } => {
            let size = total.map_or(String::new(), |total| format!(", {}", units::bytes(total)));
            let from = if *resumed_at > 0 { format!(", going on at {}", units::bytes(*resumed_at)) } else { String::new() };
            tracing::info!("downloading {url}{size}{from}");
        }
        FetchEvent::Progress(progress) => {
            bar.set_length(progress.total.unwrap_or(0));
            bar.set_position(progress.bytes);
            bar.set_message(speed(progress));
        }
        FetchEvent::Slow(progress) => {
            let hint = if std::mem::replace(offered, true) { String::new() } else { format!("; {SAMPLE}") };
            tracing::warn!("the host is slow: {}{hint}", speed(progress));
        }
        FetchEvent::Retry { url, problem, pause } => tracing::warn!("{url}: {problem}; trying again in {}", units::duration(*pause)),
        FetchEvent::Checking { file } => tracing::info!("checking {}", file.display()),
        FetchEvent::Installed { file } => tracing::info!("installed {}", file.display()),
    }
}

fn speed(progress: &anmok_data::Progress) -> String {
    let total = progress.total.map_or(String::new(), |total| format!(" of {}", units::bytes(total)));
    let left = progress.seconds_left.filter(|seconds| seconds.is_finite()).map_or(String::new(), |seconds| {
        let left = std::time::Duration::try_from_secs_f64(seconds).unwrap_or(std::time::Duration::MAX);
        format!(", {} left", units::duration(left))
    });
    format!("{}{total}, {}/s{left}", units::bytes(progress.bytes), units::bytes(progress.bytes_per_second as u64))
}

impl Verify {
    fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = self.chosen.settings(surroundings)?;
        let name = &settings.recipe.dataset;
        let seen = anmok_data::verify(name, &settings.recipe.open_options(&settings.data_dir))?;
        if self.json {
            let files = seen
                .files
                .iter()
                .map(|file| json!({ "path": file.path, "bytes": file.bytes, "md5": file.md5, "official": file.is_official }));
            print_json(&json!({
                "dataset": name, "passed": seen.passed(), "place": seen.place, "train_images": seen.train_images, "test_images": seen.test_images,
                "files": files.collect::<Vec<_>>(), "warnings": seen.warnings,
            }));
        } else {
            let style = Style::new(settings.color, &std::io::stdout());
            let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Left]);
            for file in &seen.files {
                let mark = if file.is_official { style.green("as published") } else { style.red("not the published file") };
                table.row([file.path.display().to_string(), units::bytes(file.bytes), file.md5.clone(), mark]);
            }
            let (train, test) = (units::grouped(seen.train_images as u64), units::grouped(seen.test_images as u64));
            print(&format!("{}{name}: {train} training and {test} test images in {}\n", table.render(""), seen.place));
        }
        if !seen.passed() {
            bail!("{name} is not the published data: `anmok data fetch {name} --replace` fetches it");
        }
        Ok(())
    }
}

/// Samples of one class, one row of the picture.
const PER_CLASS: usize = 10;
/// As many as the picture takes.
const MOST_SAMPLES: usize = 200;

impl Show {
    fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = self.chosen.settings(surroundings)?;
        let recipe = &settings.recipe;
        let data = anmok_data::open(&recipe.dataset, &recipe.open_options(&settings.data_dir))?;
        let images: &Dataset = if self.test { &data.test } else { &data.train };
        let shape = images.shape();
        let chosen = chosen(images);
        let samples: Vec<Sample<'_>> = chosen
            .iter()
            .map(|&index| Sample {
                image: ImageView { pixels: images.image(index), height: shape.height, width: shape.width, channels: shape.channels },
                label: images.classes().get(images.labels()[index] as usize).map_or("", String::as_str),
            })
            .collect();
        let subtitle = format!(
            "{} {} images of {}x{}, {} classes",
            units::grouped(images.len() as u64),
            if self.test { "test" } else { "training" },
            shape.width,
            shape.height,
            images.classes().len()
        );
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make the folder {}", self.out.display()))?;
        let [svg, png] = pictures::sample_grid(images.name(), &subtitle, &samples).save(&self.out)?;
        let mut table = Table::new(&[Align::Left, Align::Right]);
        for (label, class) in images.classes().iter().enumerate() {
            let count = images.labels().iter().filter(|&&other| other as usize == label).count();
            table.row([class.clone(), units::grouped(count as u64)]);
        }
        print(&format!("{}: {subtitle}\n{}picture: {} and {}\n", images.name(), table.render("  "), png.display(), svg.display()));
        Ok(())
    }
}

/// The first images of each class, as many rows of ten as the picture takes; with very many classes one of each.
fn chosen(images: &Dataset) -> Vec<usize> {
    let classes = images.classes().len();
    let each = if classes * PER_CLASS <= MOST_SAMPLES { PER_CLASS } else { 1 };
    let of_class = |class: usize| {
        images.labels().iter().enumerate().filter(move |(_, label)| **label as usize == class).map(|(index, _)| index).take(each)
    };
    (0..classes).flat_map(of_class).take(MOST_SAMPLES).collect()
}
