//! What NVIDIA's GPUs tell, through the library that comes with their driver (NVML); nothing where there is none. MLflow asks the
//! same library (`mlflow/system_metrics/metrics/gpu_monitor.py`).

/// The GPUs of this machine.
pub struct Gpus(#[cfg(target_os = "linux")] Option<nvml_wrapper::Nvml>);

/// One of them at one moment. What it does not tell is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Gpu {
    /// Used and there, in bytes.
    memory: Option<(u64, u64)>,
    /// Percent of the time in which it computed anything.
    utilization: Option<u32>,
    /// Taken and allowed, in milliwatts.
    power: Option<(u32, u32)>,
}

impl Gpus {
    /// Looks for the driver's library, once.
    pub fn find() -> Self {
        Self(
            #[cfg(target_os = "linux")]
            nvml_wrapper::Nvml::init().ok(),
        )
    }

    /// The metrics of this moment, of all GPUs.
    #[cfg(target_os = "linux")]
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let Some(nvml) = &self.0 else { return vec![] };
        let devices = (0..nvml.device_count().unwrap_or(0)).filter_map(|index| Some((index, nvml.device_by_index(index).ok()?)));
        let read = |device: nvml_wrapper::Device| Gpu {
            memory: device.memory_info().ok().map(|memory| (memory.used, memory.total)),
            utilization: device.utilization_rates().ok().map(|rates| rates.gpu),
            power: device.power_usage().ok().zip(device.enforced_power_limit().ok()),
        };
        devices.flat_map(|(index, device)| read(device).metrics(index)).collect()
    }

    /// NVIDIA's driver is not had here.
    #[cfg(not(target_os = "linux"))]
    pub fn metrics(&self) -> Vec<(String, f64)> {
        vec![]
    }
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has NVIDIA's driver"))]
impl Gpu {
    fn metrics(self, index: u32) -> Vec<(String, f64)> {
        let mut metrics = vec![];
        let mut add = |name: &str, value: f64| metrics.push((format!("gpu_{index}_{name}"), (value * 10.0).round() / 10.0));
        if let Some((used, total)) = self.memory {
            add("memory_usage_percentage", 100.0 * used as f64 / total.max(1) as f64);
            add("memory_usage_megabytes", used as f64 / super::MEGABYTE);
        }
        if let Some(percent) = self.utilization {
            add("utilization_percentage", percent.into());
        }
        if let Some((taken, allowed)) = self.power {
            add("power_usage_watts", f64::from(taken) / 1000.0);
            add("power_usage_percentage", 100.0 * f64::from(taken) / f64::from(allowed.max(1)));
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_named_as_mlflow_names_them() {
        let named = |gpu: Gpu| gpu.metrics(1).into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>();
        let all = Gpu { memory: Some((3_000_000_000, 8_000_000_000)), utilization: Some(97), power: Some((175_250, 350_000)) };
        assert_eq!(
            named(all),
            [
                "gpu_1_memory_usage_percentage 37.5",
                "gpu_1_memory_usage_megabytes 3000",
                "gpu_1_utilization_percentage 97",
                "gpu_1_power_usage_watts 175.3",
                "gpu_1_power_usage_percentage 50.1",
            ]
        );
        assert_eq!(named(Gpu { memory: Some((0, 0)), ..Gpu::default() })[0], "gpu_1_memory_usage_percentage 0");
        assert_eq!(named(Gpu::default()), [""; 0]);
    }
}
