-- metrics: what the simulated gateway has counted, as Prometheus text. Made when it is asked for: the counts are those
-- of stats.lua and of the resources.
local metrics = require "moongate.metrics"
local prometheus = require "moongate.metrics.prometheus"

local M = { CONTENT_TYPE = prometheus.CONTENT_TYPE }

local function put_requests(registry, stats)
  local requests = registry:counter("moongate_sim_requests_total",
    "Requests by method, route template and status; closed: the connection was ended instead of an answer.",
    { "method", "route", "status" })
  for name, route in pairs(stats.routes) do
    local method, template = name:match "^(%u+) (.*)$"
    for status, count in pairs(route.statuses) do requests:add(count, method or "other", template or name, status) end
  end
  local duplicates = registry:counter("moongate_sim_duplicates_total",
    "Writes that came more than once, by what gave them away: the request's id or its body.", { "by" })
  duplicates:add(stats.duplicate_ids, "id")
  duplicates:add(stats.duplicate_bodies, "body")
end

local function put_counts(registry, gw)
  local faults = registry:counter("moongate_sim_faults_total", "Injected faults, by kind.", { "kind" })
  for kind, count in pairs(gw.stats.faults) do faults:add(count, kind) end
  local webhooks = registry:counter("moongate_sim_webhooks_total",
    "Webhooks by what became of them; refused: not to this machine.", { "status" })
  for status, count in pairs(gw.webhooks.counts) do webhooks:add(count, status) end
  registry:counter("moongate_sim_tokens_minted_total", "Access tokens minted."):add(gw.oauth.minted)
end

local function put_held(registry, gw)
  local held = registry:gauge("moongate_sim_resources", "Resources stored, by kind.", { "kind" })
  for _, resource in ipairs(gw.resources) do
    if resource.count then held:set(resource.count(gw[resource.name]), resource.name) end
  end
end

-- M.text(gateway) -> the text
function M.text(gw)
  local registry = metrics.new()
  put_requests(registry, gw.stats)
  put_counts(registry, gw)
  put_held(registry, gw)
  return registry:prometheus()
end

return M
