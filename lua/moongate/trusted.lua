-- trusted.lua - functions of public modules that scripts must not have, or have others instead of: filled by those
-- modules. Private.
--   trusted.gateway.set_dry(on)       whether writes of the session are sent at all, whoever opens the gateway
--   trusted.gateway.sender(client)    function(client, request): sends with the session's credential
--   trusted.gateway.open(opts), trusted.router.open(opts)   as a script has them
return { gateway = {}, router = {} }
