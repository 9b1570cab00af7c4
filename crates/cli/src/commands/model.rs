//! `anmok model list|summary`: the networks, before anything is trained.

use super::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, model as model_section};
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::units::grouped;
use crate::terminal::{print, print_json};
use anmok_graph::cost::{self, Summary};
use anmok_graph::zoo::{self, ZooOptions};
use anmok_graph::{Graph, Shape};
use clap::{Args, Subcommand};
use serde_json::json;

/// What can be said about the networks: list, summary.
#[derive(Debug, Args)]
pub struct Model {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Print the networks with their size and cost
    List(List),
    /// Print a network's layers with shapes, parameters and multiply-adds
    #[command(after_help = "Examples:\n  anmok model summary resnet18\n  anmok model summary mobilenet_v3_small --stem cifar --image 32")]
    Summary(SummaryOf),
}

#[derive(Debug)]
struct OfModel;

impl Sections for OfModel {
    const SECTIONS: &'static [&'static Section] = &[&model_section::SECTION];
}

/// The images and classes that a network is made for.
#[derive(Debug, Args)]
struct Images {
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 10)]
    classes: usize,
    /// Channels of an image
    #[arg(long, value_name = "N", default_value_t = 3)]
    channels: usize,
    /// Side of an image
    #[arg(long, value_name = "PIXELS", default_value_t = 32)]
    image: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    images: Images,
}

#[derive(Debug, Args)]
struct SummaryOf {
    /// The network
    model: Option<String>,
    #[command(flatten)]
    images: Images,
    #[command(flatten)]
    flags: Flags<OfModel>,
}

impl Model {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        match self.command {
            ModelCommand::List(list) => list.run(),
            ModelCommand::Summary(summary) => summary.run(surroundings),
        }
    }
}

impl Images {
    fn options(&self) -> ZooOptions {
        ZooOptions { classes: self.classes, channels: self.channels, height: self.image, width: self.image, ..ZooOptions::default() }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let mut table = Table::new(&[Align::Left, Align::Left, Align::Right, Align::Right]);
        table.row(["model", "stem", "parameters", "multiply-adds"]);
        let mut all = vec![];
        for name in zoo::NAMES {
            for (stem_name, stem) in [("imagenet", zoo::Stem::Imagenet), ("cifar", zoo::Stem::Cifar)] {
                let total = cost::summary(&zoo::build(name, &ZooOptions { stem, ..self.images.options() })?).total;
                table.row([(*name).to_owned(), stem_name.to_owned(), grouped(total.parameters as u64), grouped(total.multiply_adds)]);
                all.push(json!({ "model": name, "stem": stem_name, "parameters": total.parameters, "multiply_adds": total.multiply_adds }));
            }
        }
        if self.images.json {
            print_json(&json!(all))
        } else {
            print(&table.render(""))
        }
        Ok(())
    }
}

impl SummaryOf {
    fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let mut flags = self.flags.given;
        flags.extend(self.model.map(|name| ("model_name", name)));
        let resolved = surroundings.resolve(OfModel::SECTIONS, Given { flags: &flags, ..Given::default() })?;
        let recipe = &resolved.settings.recipe;
        let options = ZooOptions {
            stem: recipe.stem.into(),
            width_multiplier: recipe.width_multiplier,
            dropout: recipe.dropout,
            batch_norm_momentum: recipe.batch_norm_momentum,
            ..self.images.options()
        };
        let graph = zoo::build(&recipe.model_name, &options)?;
        let summary = cost::summary(&graph);
        if self.images.json {
            print_json(&as_json(&graph, &summary));
        } else {
            print(&as_text(&graph, &summary, Style::new(resolved.settings.color, &std::io::stdout())));
        }
        Ok(())
    }
}

fn as_text(graph: &Graph, summary: &Summary, style: Style) -> String {
    let mut table = Table::new(&[Align::Left, Align::Left, Align::Right, Align::Right, Align::Right]);
    table.row(["layer", "kind", "output", "parameters", "multiply-adds"].map(|head| style.bold(head)));
    let count = |number: u64| if number == 0 { style.dim("-") } else { grouped(number) };
    for row in &summary.rows {
        let (parameters, multiply_adds) = (count(row.cost.parameters as u64), count(row.cost.multiply_adds));
        table.row([row.name.clone(), row.kind.clone(), row.output.to_string(), parameters, multiply_adds]);
    }
    let total = summary.total;
    format!(
        "{} for {} images, {} classes\n\n{}\n{} parameters, {} multiply-adds per image, {} activations per image\n",
        style.bold(&graph.name),
        graph.input,
        graph.classes(),
        table.render(""),
        style.bold(&grouped(total.parameters as u64)),
        style.bold(&grouped(total.multiply_adds)),
        grouped(total.activations as u64),
    )
}

fn as_json(graph: &Graph, summary: &Summary) -> serde_json::Value {
    let shape = |shape: Shape| json!([shape.channels, shape.height, shape.width]);
    let rows = summary.rows.iter().map(|row| {
        json!({
            "name": row.name, "kind": row.kind, "output": shape(row.output),
            "parameters": row.cost.parameters, "multiply_adds": row.cost.multiply_adds, "activations": row.cost.activations,
        })
    });
    json!({
        "model": graph.name, "input": shape(graph.input), "classes": graph.classes(), "layers": rows.collect::<Vec<_>>(),
        "parameters": summary.total.parameters, "multiply_adds": summary.total.multiply_adds, "activations": summary.total.activations,
    })
}
