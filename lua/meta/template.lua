---@meta moongate.template

---Prompt templates: files read and checked, rendered, promoted to a new version, rolled back; and which variant of an
---experiment a subject gets. Raises error objects.
---@class moongate.template
---@field LIMITS table<string, number> what a project file may set otherwise
local template = {}

---@class moongate.template.options
---@field limits? table<string, number>
---@field model_window? integer tokens
---@field split? number fraction
---@field variant? string

---@class moongate.template.checked
---@field document table as it is sent
---@field file? string
---@field characters integer
---@field estimated_tokens integer
---@field threshold integer
---@field warnings table[]

---@param document any
---@param options? moongate.template.options
---@return moongate.template.checked? template nil when there are faults
---@return table[]? faults
function template.check(document, options) end

---Raises all errors of all files together, `invalid`.
---@param paths string[] files; a folder stands for the *.json and *.txt in it
---@param options? moongate.template.options
---@return moongate.template.checked[] templates
function template.load_all(paths, options) end

---@param path string
---@param options? moongate.template.options
---@return moongate.template.checked template
function template.load(path, options) end

---@param path string a JSON file
---@return table values
---@return string text
function template.load_values(path) end

---@param text moongate.template.checked
---@param values table<string, any>
---@return {text: string, characters: integer, estimated_tokens: integer, threshold: integer}? rendered nil when there are faults
---@return {pointer: string, field: string, message: string}[]? faults
function template.render(text, values) end

---@param from table? what the gateway holds of a version
---@param to table
---@return {placeholders: table, variables: table[], content: string[]} difference
function template.diff(from, to) end

---@param text string
---@return integer tokens at four characters each
function template.estimate(text) end

---Which variant a subject gets: always the same one. A growing share moves subjects from the control only.
---@param experiment string
---@param subject string
---@param split table {b = 0.2}, {{"b", 0.1}, {"c", 0.1}}, or a template's abTestingTrigger
---@return string? variant nil: the control, the live version
---@return integer bucket 0 to 9999
function template.variant(experiment, subject, split) end

---A split in which the variant has that share, and nobody else moves.
---@param split table
---@param variant string
---@param share number|string
---@return table split
function template.grow(split, variant, share) end

---@param gateway moongate.gateway.handle
---@param template_id string
---@return table[] versions
function template.versions(gateway, template_id) end

---What the gateway holds of a template.
---@param gateway moongate.gateway.handle
---@param template_id string
---@param version? string
---@return {versions: table[], live: moongate.gateway.resource?, rollback: boolean, version: moongate.gateway.resource?} seen
function template.look(gateway, template_id, version) end

---The data of the webhook `template_promoted`.
---@param document table
---@param facts {audit_id: string?, generation_success_rate: number?, latency_ms: number?, correlation_id: string?, payload_hash: string?, previous_version: string?}
---@return table data
function template.announcement(document, facts) end

---@param document table
---@return string? header the value of X-Genesys-AB-Test
function template.ab_header(document) end

---@class moongate.template.promote_options
---@field audit_id? string
---@field stamp? table fields of both audit lines

---Raises `conflict` when the version already exists, or a rollback is active.
---@param gateway moongate.gateway.handle
---@param text moongate.template.checked
---@param seen table what look gave
---@param options? moongate.template.promote_options
---@return table result of gateway:write
function template.promote(gateway, text, seen, options) end

---@param template_id string
---@param version string
---@param seen table what look gave
---@param own? table a document of that version
---@return table document what is posted to make the version live again
function template.rollback_document(template_id, version, seen, own) end

---@param gateway moongate.gateway.handle
---@param document table
---@param seen table what look gave
---@param options? moongate.template.promote_options
---@return table result
function template.rollback(gateway, document, seen, options) end

---@param gateway moongate.gateway.handle
---@param template_id string
---@return table result
function template.end_rollback(gateway, template_id) end

return template
