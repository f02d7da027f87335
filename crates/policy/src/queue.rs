//! Waiting for a slot: `maxconn`, `minconn`, `fullconn`, `maxqueue`, `timeout queue`.

/// The connections a server takes now, when its limit grows with the backend's load.
///
/// With a `minconn` the limit follows the backend's use: `maxconn` × `backend_current` / `fullconn`, at least
/// `minconn` and at most `maxconn`. Without `fullconn` (0) the limit is `maxconn`.
pub fn dynamic_limit(maxconn: u32, minconn: u32, fullconn: u32, backend_current: u32) -> u32 {
    if fullconn == 0 || minconn >= maxconn || backend_current >= fullconn {
        return maxconn;
    }
    let share = u64::from(backend_current) * u64::from(maxconn) / u64::from(fullconn);
    // Below maxconn, because backend_current is below fullconn.
    minconn.max(share as u32)
}
