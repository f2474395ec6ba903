export { Plugins, pluginOf, type Plugin, type PluginExport } from "./plugins.ts";
