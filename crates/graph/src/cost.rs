//! Multiply-adds and the summary's rows.
//!
//! A multiply-add is one product added to a sum inside a convolution or a Linear layer: the unit of torchvision's
//! published "GFLOPs". Elementwise ops, pooling, BatchNorm and biases count 0, as they do there.

use crate::{Graph, Op, Shape};

/// What one node costs for one image in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCost {
    /// Multiply-adds, products with padding included.
    pub multiply_adds: u64,
    /// Elements of its parameters.
    pub parameters: usize,
    /// Elements of its output map.
    pub activations: usize,
}

/// One line of the summary table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Module path.
    pub name: String,
    /// The op with its attributes, for example `Conv2d(3, 16, kernel=3, stride=2, padding=1)`.
    pub kind: String,
    /// Shape of the output for one image.
    pub output: Shape,
    /// The node's share.
    pub cost: NodeCost,
}

/// The summary table of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// One row per node, in order.
    pub rows: Vec<Row>,
    /// The sums over all nodes.
    pub total: NodeCost,
}

/// The cost of every node, in order.
pub fn node_costs(graph: &Graph) -> Vec<NodeCost> {
    let mut parameters = vec![0; graph.nodes.len()];
    for parameter in &graph.parameters {
        parameters[parameter.node] += parameter.elements();
    }
    let costs = graph.nodes.iter().zip(parameters).map(|(node, parameters)| {
        let multiply_adds = match node.op {
            Op::Conv2d { in_channels, kernel, groups, .. } => {
                node.output.elements() as u64 * (in_channels / groups * kernel * kernel) as u64
            }
            Op::Linear { in_features, out_features, .. } => in_features as u64 * out_features as u64,
            Op::BatchNorm2d { .. }
            | Op::Activation(_)
            | Op::MaxPool2d { .. }
            | Op::GlobalAvgPool
            | Op::Dropout { .. }
            | Op::Add
            | Op::ChannelScale => 0,
        };
        NodeCost { multiply_adds, parameters, activations: node.output.elements() }
    });
    costs.collect()
}

/// The table of a network, with totals.
pub fn summary(graph: &Graph) -> Summary {
    let costs = node_costs(graph);
    let total = NodeCost {
        multiply_adds: costs.iter().map(|c| c.multiply_adds).sum(),
        parameters: costs.iter().map(|c| c.parameters).sum(),
        activations: costs.iter().map(|c| c.activations).sum(),
    };
    let row =
        |(node, cost): (&crate::Node, NodeCost)| Row { name: node.name.clone(), kind: node.op.to_string(), output: node.output, cost };
    Summary { rows: graph.nodes.iter().zip(costs).map(row).collect(), total }
}
